/** What tells plugins apart, and how it is written. */

export interface PluginKey {
  readonly name: string;
  readonly version: string;
  /** '' for none. */
  readonly namespace: string;
}

/** For messages: 'acme::LeakyScale 1'. */
export function pluginTitle({ name, version, namespace }: PluginKey): string {
  return `${namespace === '' ? '' : `${namespace}::`}${name} ${version}`;
}

/** The name of its operator: 'acme::LeakyScale@1'. */
export function pluginOperatorName({ name, version, namespace }: PluginKey): string {
  return `${namespace}::${name}@${version}`;
}

/** Whose operator it is; undefined of one that is no plugin's. */
export function pluginOfOperatorName(operator: string): PluginKey | undefined {
  const [, namespace, name, version] = /^([^:@]*)::([^@]+)@(.+)$/.exec(operator) ?? [];
  return name === undefined ? undefined : { name, version: version!, namespace: namespace! };
}
