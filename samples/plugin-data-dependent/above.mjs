/** The elements above a limit, in order: an output whose size only the values decide. */

import { Tensor } from '@tensorwright/core';
import { definePlugin, field } from '@tensorwright/plugins';

export const above = definePlugin({
  name: 'Above',
  namespace: 'samples',
  fields: { limit: field.float(0) },
  inputs: ['x'],
  outputs: ['kept'],
  infer: ({ inputs: { x }, dataDependent, fail }) => {
    if (x.dims?.length !== 1) fail('x must have rank 1');
    // At most as many as there are, where that is known: the bound sizes what follows.
    const [most] = x.dims;
    return { kept: { dtype: x.dtype, dims: [dataDependent('kept', typeof most === 'number' ? { max: most } : {})] } };
  },
  cpu: ({ x }, { limit }) => {
    const kept = x.data.filter((v) => v > limit);
    return { kept: new Tensor(x.dtype, kept, [kept.length]) };
  },
});
