/** Works that come to the same kernels and launches, whatever their candidates are called: what one gives, all do. */

import { canonicalJson, type Measurable, type PlanProgram } from '@tensorwright/core';

interface Done<T> {
  readonly weights: Uint8Array;
  readonly result: Promise<T>;
}

export class EqualWorks<T> {
  readonly #byProgram = new Map<string, Done<T>[]>();

  /** What `run` gives or throws; asked only for the first of equal works. All of them are kept. */
  async once({ program, weights, inputDims }: Measurable, run: () => Promise<T>): Promise<T> {
    const key = canonicalJson([inputDims, unnamed(program)]);
    const alike = this.#byProgram.get(key) ?? [];
    // Kernels lie among the weights.
    const known = alike.find((d) => d.weights === weights || Buffer.compare(d.weights, weights) === 0);
    if (known) return known.result;
    const result = run();
    this.#byProgram.set(key, [...alike, { weights, result }]);
    return result;
  }
}

/** Without what only says whose the steps are. */
function unnamed({ steps, ...program }: PlanProgram): unknown {
  return {
    ...program,
    steps: steps.map(({ kernel, attributes, inputs, outputs, programs }) => [
      kernel,
      attributes,
      inputs,
      outputs,
      programs,
    ]),
  };
}
