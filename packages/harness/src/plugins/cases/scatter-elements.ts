/** ScatterElements against updates applied one after the other. */

import { scatterElements } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

function problem(
  random: Random,
  name: string,
  dims: readonly number[],
  updates: readonly number[],
  fields: { axis?: number; reduction: string },
  more: Partial<Problem> & { dtype?: 'int32' | 'int64' } = {},
): Problem {
  const { dtype, ...rest } = more;
  const extent = dims.at(fields.axis ?? 0)!;
  const operand = (of: readonly number[]): Operand =>
    dtype ? random.integers(of, 50, dtype) : random.floats(of, 0.5, 1.5);
  const indices = random.integers(updates, 2 * extent, 'int64');
  return {
    name,
    fields,
    inputs: {
      data: operand(dims),
      indices: { ...indices, values: indices.values.map((i) => i - extent) },
      updates: operand(updates),
    },
    ...rest,
  };
}

const joins: Readonly<Record<string, (a: number, b: number) => number>> = {
  none: (_, b) => b,
  add: (a, b) => a + b,
  mul: (a, b) => a * b,
  max: Math.max,
  min: Math.min,
};

export const scatterElementsCase: PluginCase = {
  name: 'scatter-elements',
  plugin: scatterElements,
  problems: (random) => [
    problem(random, 'add along the first axis', [5, 4], [9, 3], { reduction: 'add' }),
    problem(random, 'multiply along the last axis', [3, 7], [3, 11], { axis: -1, reduction: 'mul' }),
    problem(random, 'largest', [2, 5, 3], [2, 8, 3], { axis: 1, reduction: 'max' }),
    problem(random, 'least', [2, 5, 3], [1, 8, 2], { axis: 1, reduction: 'min' }),
    problem(random, 'the last update', [17], [40], { reduction: 'none' }),
    problem(random, 'integers', [6, 2], [30, 2], { reduction: 'add' }, { dtype: 'int32' }),
    problem(random, 'long integers', [6, 2], [30, 2], { reduction: 'max' }, { dtype: 'int64' }),
    problem(random, 'no updates', [6, 2], [0, 2], { reduction: 'add' }),
    timed(
      'messages of a graph',
      { reduction: 'add' },
      (r) => problem(r, '', [10000, 64], [60000, 64], { reduction: 'add' }).inputs,
    ),
  ],
  reference({ inputs, fields }) {
    const { data, indices, updates } = inputs;
    const { dims } = data!;
    const axis = (((fields['axis'] as number | undefined) ?? 0) + dims.length) % dims.length;
    const output = Float64Array.from(data!.values);
    updates!.values.forEach((update, i) => {
      let [rest, to, stride] = [i, 0, 1];
      for (let d = dims.length - 1; d >= 0; d--) {
        const place = rest % updates!.dims[d]!;
        rest = (rest - place) / updates!.dims[d]!;
        const index = indices!.values[i]!;
        to += stride * (d === axis ? (index + dims[d]!) % dims[d]! : place);
        stride *= dims[d]!;
      }
      output[to] = joins[fields['reduction'] as string]!(output[to]!, update);
    });
    return { output };
  },
  standard: 'lowered to the layer scatterElements',
};
