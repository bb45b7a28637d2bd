/** What is made once of an object, and kept for as long as the object lives. */

export function memo<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, V>();
  return (key) => {
    const found = known.get(key);
    if (found !== undefined || known.has(key)) return found as V;
    const made = make(key);
    known.set(key, made);
    return made;
  };
}

/** Of each object several, each of which is told from the others by a text. */
export function memoByKind<K extends object, V>(): (key: K, kind: string, make: () => V) => V {
  const kindsOf = memo((_: K) => new Map<string, V>());
  return (key, kind, make) => {
    const kinds = kindsOf(key);
    const found = kinds.get(kind);
    if (found !== undefined || kinds.has(kind)) return found as V;
    const made = make();
    kinds.set(kind, made);
    return made;
  };
}
