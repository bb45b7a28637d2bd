/** The elements above a limit, in order: an output whose size only the values decide. */

import { Tensor } from '@tensorwright/core';
import { arg, definePlugin, field } from '@tensorwright/plugins';

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
  cuda: {
    // One warp, to keep it short: each turn looks at 32 elements.
    source: `
      __global__ void count(const float* x, int size, float limit, i64* found) {
        i64 sum = 0;
        for (int base = 0; base < size; base += 32) {
          const int i = base + threadIdx.x;
          sum += __popc(__ballot_sync(0xFFFFFFFF, i < size && x[i] > limit));
        }
        if (threadIdx.x == 0) *found = sum;
      }
      __global__ void keep(const float* x, int size, float limit, float* kept) {
        for (int base = 0; base < size; base += 32) {
          const int i = base + threadIdx.x;
          const bool mine = i < size && x[i] > limit;
          const unsigned all = __ballot_sync(0xFFFFFFFF, mine);
          if (mine) kept[__popc(all & ((1u << threadIdx.x) - 1))] = x[i];
          kept += __popc(all);
        }
      }`,
    // The first launch finds the size; then there is memory for the output, and the second one writes it.
    count: ({ inputs: { x }, fields }) => [
      { kernel: 'count', grid: 1, block: 32, arguments: [x, x.size, arg.float(fields.limit), arg.extents()] },
    ],
    launches: ({ inputs: { x }, outputs: { kept }, fields }) => [
      { kernel: 'keep', grid: 1, block: 32, arguments: [x, x.size, arg.float(fields.limit), kept] },
    ],
  },
  cpu: ({ x }, { limit }) => {
    const kept = x.data.filter((v) => v > limit);
    return { kept: new Tensor(x.dtype, kept, [kept.length]) };
  },
});
