/** Operands by name. */

import type { Names } from './plugin.js';

/** 'bias?' → 'bias'. */
export function nameOf(declared: string): string {
  return declared.endsWith('?') ? declared.slice(0, -1) : declared;
}

export function byName<T>(names: Names, values: readonly (T | undefined)[]): Record<string, T | undefined> {
  return Object.fromEntries(names.map((name, i) => [nameOf(name), values[i]]));
}
