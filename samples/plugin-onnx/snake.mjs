/** Snake, x + sin²(a·x) / a (Ziyin et al., 2020): the operator that the model's nodes in the domain 'acme' call. */

import { ceilDivDims } from '@tensorwright/core';
import { arg, definePlugin, field } from '@tensorwright/plugins';

export const snake = definePlugin({
  name: 'Snake',
  namespace: 'acme',
  fields: { a: field.float(1) },
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }) => ({ y: x }),
  cuda: {
    dtypes: ['float32', 'float16', 'bfloat16'],
    source: `
      template <typename T>
      __global__ void snake(const T* x, T* y, int size, float a) {
        const int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= size) return;
        const float v = x[i], s = sinf(a * v);
        y[i] = convert<T>(v + s * s / a);
      }`,
    launches: ({ inputs: { x }, outputs: { y }, fields }) => [
      { kernel: 'snake', grid: ceilDivDims(x.size, 256), block: 256, arguments: [x, y, x.size, arg.float(fields.a)] },
    ],
  },
  cpu: ({ x }, { a }) => ({ y: x.data.map((v) => v + Math.sin(a * v) ** 2 / a) }),
});
