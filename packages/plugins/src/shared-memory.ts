/** Outputs that are an input changed in place. */

import { provablyEqual, TensorwrightError } from '@tensorwright/core';
import { nameOf } from './names.js';
import type { Names, Shaped } from './plugin.js';

/** Each output with the input whose memory it shares. */
export type Aliases = Readonly<Record<string, string | undefined>>;

/** What is wrong with them; undefined when nothing is. */
export function refuseAliases(aliases: Aliases, inputs: Names, outputs: Names): string | undefined {
  const used = new Set<string>();
  for (const [output, input] of Object.entries(aliases)) {
    if (!outputs.includes(output)) return `aliases: there is no output '${output}'`;
    if (input === undefined || !inputs.some((i) => nameOf(i) === input))
      return `aliases: there is no input '${String(input)}'`;
    if (used.has(input)) return `aliases: two outputs share the memory of '${input}'`;
    used.add(input);
  }
  return undefined;
}

/** For each output, the position of the input that it shares its memory with. */
export function aliasPositions(inputs: Names, outputs: Names, aliases: Aliases): readonly (number | undefined)[] {
  return outputs.map((output) => {
    const at = inputs.findIndex((input) => nameOf(input) === aliases[output]);
    return at < 0 ? undefined : at;
  });
}

interface Operands {
  readonly title: string;
  readonly inputs: Names;
  readonly outputs: Names;
  readonly aliases: Aliases;
}

/** @throws ERR_PLUGIN naming the output that is not of the dtype and shape of its input */
export function checkSharedShapes(
  { title, inputs, outputs, aliases }: Operands,
  given: readonly (Shaped | undefined)[],
  made: readonly Shaped[],
): void {
  for (const [o, input] of aliasPositions(inputs, outputs, aliases).entries()) {
    const shared = input === undefined ? undefined : given[input];
    if (!shared || sameShape(shared, made[o]!)) continue;
    const output = outputs[o]!;
    throw new TensorwrightError(
      'ERR_PLUGIN',
      `plugin ${title}: output '${output}' shares the memory of input '${aliases[output]!}', but infer gives it another dtype or shape`,
      { plugin: title, output },
    );
  }
}

function sameShape(a: Shaped, b: Shaped): boolean {
  return a.dtype === b.dtype && a.dims.length === b.dims.length && a.dims.every((d, i) => provablyEqual(d, b.dims[i]!));
}
