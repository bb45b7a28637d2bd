/**
 * A small schema checker for data from outside. A check answers with undefined or with what is wrong; the place is put
 * together on the way out, so that good data costs no strings. Objects with fields nobody knows are refused: what is
 * not understood cannot be run.
 */

export interface Problem {
  /** '.program.values[3].dtype' */
  readonly path: string;
  readonly message: string;
}

/** `T` is the type that data passing the check has. */
export interface Check<T> {
  (value: unknown): Problem | undefined;
  readonly type?: T;
}

type Fields<T> = { readonly [K in keyof T]-?: Check<Exclude<T[K], undefined>> };
type OptionalKeys<T> = { [K in keyof T]-?: object extends Pick<T, K> ? K : never }[keyof T];

export function problem(expected: string, received: unknown): Problem {
  return { path: '', message: `expected ${expected}, received ${brief(received)}` };
}

export function within(path: string, inner: Problem): Problem {
  return { path: path + inner.path, message: inner.message };
}

function brief(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${String(value.length)}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

export const text: Check<string> = (v) => (typeof v === 'string' ? undefined : problem('a string', v));

export const finite: Check<number> = (v) => (Number.isFinite(v) ? undefined : problem('a number', v));

/** Integers in a range, ends included. */
export function integer(min: number = Number.MIN_SAFE_INTEGER, max: number = Number.MAX_SAFE_INTEGER): Check<number> {
  const expected =
    max === Number.MAX_SAFE_INTEGER
      ? min === Number.MIN_SAFE_INTEGER
        ? 'an integer'
        : `an integer from ${String(min)}`
      : `an integer from ${String(min)} to ${String(max)}`;
  return (v) =>
    Number.isSafeInteger(v) && (v as number) >= min && (v as number) <= max ? undefined : problem(expected, v);
}

export function oneOf<T extends string>(values: readonly T[]): Check<T> {
  const set = new Set<unknown>(values);
  return (v) => (set.has(v) ? undefined : problem(`one of ${values.join(', ')}`, v));
}

export function list<T>(element: Check<T>): Check<readonly T[]> {
  return (v) => {
    if (!Array.isArray(v)) return problem('a list', v);
    for (let i = 0; i < v.length; i++) {
      const wrong = element(v[i]);
      if (wrong) return within(`[${String(i)}]`, wrong);
    }
    return undefined;
  };
}

/** Two entries. */
export function pair<A, B>(a: Check<A>, b: Check<B>): Check<readonly [A, B]> {
  return (v) => {
    if (!Array.isArray(v) || v.length !== 2) return problem('a pair', v);
    const first = a(v[0]);
    if (first) return within('[0]', first);
    const second = b(v[1]);
    return second && within('[1]', second);
  };
}

export function nullable<T>(check: Check<T>): Check<T | null> {
  return (v) => (v === null ? undefined : check(v));
}

/** An object with any keys. */
export function record<T>(entry: Check<T>): Check<Readonly<Record<string, T>>> {
  return (v) => {
    if (!isObject(v)) return problem('an object', v);
    for (const key of Object.keys(v)) {
      const wrong = entry(v[key]);
      if (wrong) return within(`['${key}']`, wrong);
    }
    return undefined;
  };
}

/** An object with these fields and no others; a missing check or a check of another type does not compile. */
export function object<T extends object>(fields: Fields<T>, optional: readonly OptionalKeys<T>[] = []): Check<T> {
  const names = Object.keys(fields);
  const known = new Set(names);
  const omissible = new Set<string>(optional as readonly string[]);
  const checks = fields as unknown as Record<string, Check<unknown>>;
  return (v) => {
    if (!isObject(v)) return problem('an object', v);
    for (const name of names) {
      const value = v[name];
      if (value === undefined && omissible.has(name)) continue;
      const wrong = checks[name]!(value);
      if (wrong) return within(`.${name}`, wrong);
    }
    for (const name of Object.keys(v)) if (!known.has(name)) return { path: `.${name}`, message: 'unknown field' };
    return undefined;
  };
}

/** One of several objects, told apart by their field `kind`. */
export function byKind<T extends { readonly kind: string }>(variants: {
  readonly [K in T['kind']]: Check<Extract<T, { kind: K }>>;
}): Check<T> {
  const checks = new Map<unknown, Check<unknown>>(Object.entries(variants));
  return (v) => {
    if (!isObject(v)) return problem('an object', v);
    const check = checks.get(v['kind']);
    return check ? check(v) : within('.kind', problem(`one of ${[...checks.keys()].join(', ')}`, v['kind']));
  };
}

function isObject(v: unknown): v is Record<string, unknown> {
  return typeof v === 'object' && v !== null && !Array.isArray(v);
}
