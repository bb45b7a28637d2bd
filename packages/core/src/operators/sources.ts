/** Values without inputs: network inputs, constants, tensors of dims. */

import type { ConstantData } from '../constant.js';
import type { Dim } from '../dim.js';
import { type Operator, registerOperator } from '../operator.js';
import { Tensor } from '../tensor.js';
import { tensorType, type Type } from '../type.js';

export const sourceOperators: readonly Operator[] = [
  registerOperator({
    name: 'input',
    kind: 'source',
    inputs: [],
    attributes: { name: undefined, type: undefined, token: undefined },
    infer: (c) => [c.attributes['type'] as Type],
  }),
  registerOperator({
    name: 'constant',
    kind: 'source',
    inputs: [],
    attributes: { data: undefined },
    infer: (c) => {
      const data = c.attributes['data'] as ConstantData;
      return [tensorType(data.dtype, data.dims)];
    },
    evaluate: (c) => [(c.attributes['data'] as ConstantData).tensor],
  }),
  registerOperator({
    name: 'dims',
    kind: 'source',
    inputs: [],
    attributes: { values: undefined, rank: 1 },
    infer: (c) => {
      const values = c.attributes['values'] as readonly Dim[];
      return [tensorType('int64', c.attributes['rank'] === 0 ? [] : [values.length])];
    },
    evaluate: (c) => {
      const values = (c.attributes['values'] as readonly Dim[]).map((d) => BigInt(c.dim(d)));
      return [new Tensor('int64', values, c.attributes['rank'] === 0 ? [] : [values.length])];
    },
  }),
];
