/** Mish, x · tanh(ln(1 + eˣ)) (Misra, 2019), scaled: an activation of one's own. */

import { ceilDivDims } from '@tensorwright/core';
import { arg, definePlugin, field } from '@tensorwright/plugins';

export const mish = definePlugin({
  name: 'ScaledMish',
  namespace: 'samples',
  fields: { scale: field.float(1) },
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }) => ({ y: x }),
  cuda: {
    dtypes: ['float32', 'float16', 'bfloat16'],
    source: `
      template <typename T>
      __global__ void mish(const T* x, T* y, int size, float scale) {
        const int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < size) y[i] = convert<T>(scale * float(x[i]) * tanhf(log1pf(expf(x[i]))));
      }`,
    launches: ({ inputs: { x }, outputs: { y }, fields }) => [
      {
        kernel: 'mish',
        grid: ceilDivDims(x.size, 256),
        block: 256,
        arguments: [x, y, x.size, arg.float(fields.scale)],
      },
    ],
  },
  cpu: ({ x }, { scale }) => ({ y: x.data.map((v) => scale * v * Math.tanh(Math.log1p(Math.exp(v)))) }),
});
