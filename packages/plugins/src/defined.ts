/** All plugins of this process by their operators. */

import { pluginOperatorName } from '@tensorwright/core';
import type { AnyPlugin } from './plugin.js';

const defined = new Map<string, AnyPlugin>();

export function rememberPlugin(plugin: AnyPlugin): void {
  // One that implements a built-in operator is found by its own name alone.
  defined.set(pluginOperatorName(plugin.key), plugin);
}

/** The plugin whose operator it is; undefined for operators that are built in. */
export function pluginOfOperator(name: string): AnyPlugin | undefined {
  return defined.get(name);
}
