/** Choice by condition. */

import { provablyEqual } from '../dim.js';
import { dtypeInfo } from '../dtype.js';
import type { Operator } from '../operator.js';
import { scalar } from '../scalar.js';
import { mapOperator } from './map.js';

export const selectOperators: readonly Operator[] = [
  mapOperator({
    name: 'where',
    inputs: ['condition', 'x', 'y'],
    accepts: (dtype, i) =>
      i === 0 ? dtype === 'bool' : dtypeInfo(dtype).class !== 'string' && dtypeInfo(dtype).class !== 'complex',
    free: [0],
    result: (dtypes) => dtypes[1]!,
    scalar: ([condition, x, y]) => scalar.select(condition!, x!, y!),
    fact: ([condition, x, y]) => {
      if (condition === 0) return y;
      if (typeof condition === 'number') return x;
      return provablyEqual(x!, y!) ? x : undefined;
    },
  }),
];
