/** Weights that serve several convolutions are laid out for each of them. */

import { describe, it } from 'vitest';
import { compare, hasDevice } from './compare.js';
import { smallWeights } from './support/small-weights.js';

describe.skipIf(!hasDevice)('weights of two convolutions', () => {
  it('of unlike groups', () =>
    compare({
      inputs: [
        { dtype: 'float16', dims: [1, 8, 6, 7] },
        { dtype: 'float16', dims: [1, 16, 6, 7] },
      ],
      graph: (b, x, y) => {
        const weights = smallWeights(b, 'float16', [16, 4, 3, 3]);
        return [x, y].map((v, i) => b.op('conv', [v, weights], { group: 2 * (i + 1), pads: [1, 1, 1, 1] }));
      },
    }));
});
