/** Operands by name. */

import type { Names } from './plugin.js';

/** 'bias?' → 'bias'. */
export function nameOf(declared: string): string {
  return declared.endsWith('?') ? declared.slice(0, -1) : declared;
}

export function byName<T>(names: Names, values: readonly (T | undefined)[]): Record<string, T | undefined> {
  return Object.fromEntries(names.map((name, i) => [nameOf(name), values[i]]));
}

/** For each output, the position of the input that it shares its memory with. */
export function aliasPositions(
  inputs: Names,
  outputs: Names,
  aliases: Readonly<Record<string, string | undefined>>,
): readonly (number | undefined)[] {
  return outputs.map((output) => {
    const at = inputs.findIndex((input) => nameOf(input) === aliases[output]);
    return at < 0 ? undefined : at;
  });
}
