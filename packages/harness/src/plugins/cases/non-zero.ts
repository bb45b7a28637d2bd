/** NonZeroPlugin against a walk over the elements. */

import { nonZero } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

/** One of `every` elements, or none, is not zero. */
function problem(
  random: Random,
  name: string,
  dims: readonly number[],
  every: number,
  more: Partial<Problem> = {},
): Problem {
  const input = random.floats(dims);
  const values = input.values.map((v) => (random.integer(every) === 0 && v !== 0 ? v : 0));
  return { name, fields: {}, inputs: { input: { ...input, values } satisfies Operand }, ...more };
}

export const nonZeroCase: PluginCase = {
  name: 'non-zero',
  plugin: nonZero,
  problems(random) {
    const special = problem(random, 'what is no number', [2, 5], 1);
    special.inputs['input']!.values.set([NaN, -0, 0, Infinity]);
    return [
      problem(random, 'a matrix', [13, 21], 3),
      problem(random, 'columns', [13, 21], 3, { fields: { rowMajor: 0 } }),
      problem(random, 'a vector, all of it', [70], 1),
      problem(random, 'rank 4', [2, 3, 4, 5], 2),
      problem(random, 'nothing', [5, 6], 1e9),
      problem(random, 'no elements', [0, 6], 1),
      special,
      timed('a mask of 1024 x 1024', {}, (r) => problem(r, '', [1024, 1024], 10).inputs),
    ];
  },
  reference({ inputs: { input }, fields }) {
    const { dims, values } = input!;
    const places: number[][] = [];
    values.forEach((v, i) => {
      if (v === 0) return;
      let rest = i;
      places.push(
        [...dims]
          .reverse()
          .map((extent) => {
            const place = rest % extent;
            rest = (rest - place) / extent;
            return place;
          })
          .reverse(),
      );
    });
    const columns = dims.map((_, axis) => places.map((place) => place[axis]!));
    return {
      indices: Float64Array.from(fields['rowMajor'] === 0 ? columns.flat() : places.flat()),
      count: Float64Array.of(places.length),
    };
  },
  standard: 'lowered to the layer nonZero',
};
