/** All plugins of this process by their operators. */

import type { AnyPlugin } from './plugin.js';

const defined = new Map<string, AnyPlugin>();

export function rememberPlugin(plugin: AnyPlugin): void {
  defined.set(plugin.operator.name, plugin);
}

/** The plugin whose operator it is; undefined for operators that are built in. */
export function pluginOfOperator(name: string): AnyPlugin | undefined {
  return defined.get(name);
}
