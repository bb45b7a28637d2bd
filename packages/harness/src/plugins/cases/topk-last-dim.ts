/** TopkLastDim against a whole sort. */

import { topkLastDim } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

/** TensorRT's numbers of the dtypes. */
const floatFields = { float32: { type_id: 0 }, float16: { type_id: 1 } };

function problem(
  name: string,
  input: Operand,
  fields: Readonly<Record<string, number>>,
  more: Partial<Problem> = {},
): Problem {
  return {
    name,
    inputs: { input },
    fields,
    floatFields,
    ...more,
  };
}

/** Few different values, so that many are equal. */
function coarse(random: Random, dims: readonly number[], steps: number): Operand {
  const input = random.floats(dims, 0, 1);
  return { ...input, values: input.values.map((v) => Math.floor(v * steps) / steps) };
}

export const topkLastDimCase: PluginCase = {
  name: 'topk-last-dim',
  plugin: topkLastDim,
  problems(random) {
    const special = random.floats([3, 1500]);
    [NaN, Infinity, -Infinity, -0, 0, NaN].forEach((v, i) => special.values.fill(v, 7 * i, 7 * i + 3));
    const equal: Operand = { dtype: 'float', dims: [1, 20000], values: new Float64Array(20000).fill(0.25) };
    const integers = random.integers([2, 1301], 2 ** 31, 'int32');
    return [
      problem('short rows', random.floats([5, 7]), { k: 3 }),
      problem('one element', random.floats([3, 1]), { k: 1, is_largest: 0 }),
      problem('one axis, all of it', random.floats([64]), { k: 64 }),
      problem('rows of some warps', coarse(random, [3, 2, 300], 20), { k: 40, is_largest: 0 }),
      problem('the first axis', random.floats([90, 3, 2]), { k: 5, axis: 0 }),
      problem('an axis in the middle', random.floats([2, 1100, 3]), { k: 7, axis: -2, is_largest: 0 }),
      problem('long rows', random.floats([3, 1032]), { k: 100 }),
      problem('long and odd', random.floats([2, 4099]), { k: 17, is_largest: 0 }),
      problem('many equal', coarse(random, [2, 3000], 8), { k: 1000 }),
      problem('all equal, more than are listed', equal, { k: 33 }),
      problem('what is no number', special, { k: 1500 }),
      problem('the least, and what is no number', special, { k: 30, is_largest: 0 }),
      problem(
        'integers',
        { ...integers, values: integers.values.map((v, i) => (i % 2 ? -v : v)) },
        { k: 9, type_id: 3 },
        {
          floatFields: { float32: {}, float16: {} },
        },
      ),
      problem('more than fit in a block', random.floats([1, 9000]), { k: 5000 }),
      problem('no rows', random.floats([0, 1200]), { k: 2 }),
      problem('elements of the run', { ...random.floats([2, 50]), declared: ['rows', 'elements'] }, { k: 60 }),
      timed('vocabulary of 128256', { k: 50 }, (r) => ({ input: r.floats([8, 128256], -8, 8) }), { floatFields }),
      timed('router of 256 experts', { k: 8 }, (r) => ({ input: r.floats([4096, 256]) }), { floatFields }),
    ];
  },
  reference({ inputs, fields }) {
    const { dims, values: numbers } = inputs['input']!;
    const [k, largest] = [fields['k'] as number, fields['is_largest'] !== 0];
    const axis = ((fields['axis'] as number | undefined) ?? -1) + dims.length;
    const at = axis % dims.length;
    const inner = dims.slice(at + 1).reduce((a, b) => a * b, 1);
    const outer = dims.slice(0, at).reduce((a, b) => a * b, 1);
    const values = new Float64Array(outer * k * inner);
    const indices = new Float64Array(values.length).fill(-1);
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const elements = Array.from({ length: dims[at]! }, (_, e) => ({
          e,
          v: numbers[(o * dims[at]! + e) * inner + i]!,
        }));
        const height = ({ v }: { v: number }): number =>
          Number.isNaN(v) ? 2 : v === Infinity ? 1 : v === -Infinity ? -1 : 0;
        elements.sort((a, b) => {
          const rises = height(a) - height(b) || (height(a) === 0 ? a.v - b.v : 0);
          return (largest ? -rises : rises) || a.e - b.e;
        });
        elements.slice(0, k).forEach(({ e, v }, rank) => {
          values[(o * k + rank) * inner + i] = v;
          indices[(o * k + rank) * inner + i] = e;
        });
      }
    return { values, indices };
  },
  standard(network, { input }, { fields }) {
    const operation = fields['is_largest'] === 0 ? 'min' : 'max';
    const axis = (fields['axis'] as number | undefined) ?? -1;
    const { values, indices } = network.addTopK(input!, operation, fields['k'] as number, axis);
    return { values, indices: network.addCast(indices, 'int32') };
  },
};
