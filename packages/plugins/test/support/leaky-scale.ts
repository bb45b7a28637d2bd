/** A small plugin with both implementations: `x < 0 ? alpha · x : x`, times a weight for each of the last axis. */

import { ceilDivDims as ceilDiv } from '@tensorwright/core';
import { arg, definePlugin, field } from '@tensorwright/plugins';
import type { Plugin, OptionalField } from '@tensorwright/plugins';

export const leakyScale: Plugin<readonly ['x', 'weight?'], readonly ['y'], { readonly alpha: OptionalField<number> }> =
  definePlugin({
    name: 'LeakyScale',
    version: '1',
    namespace: 'acme',
    fields: { alpha: field.float(0.1) },
    inputs: ['x', 'weight?'],
    outputs: ['y'],
    infer: ({ inputs: { x } }) => ({ y: x }),
    cuda: {
      source: `
template <typename T>
__global__ void leaky_scale(const T* x, const T* weight, T* y, int size, int columns, float alpha) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const float value = x[i];
  const float scaled = (value < 0 ? alpha * value : value) * (weight ? float(weight[i % columns]) : 1.0f);
  y[i] = convert<T>(scaled);
}`,
      dtypes: ['float32', 'float16', 'bfloat16'],
      tactics: ['128', '256'],
      launches: ({ inputs: { x, weight }, outputs: { y }, fields, tactic }) => [
        {
          kernel: `leaky_scale<${x.type}>`,
          grid: ceilDiv(x.size, Number(tactic)),
          block: Number(tactic),
          arguments: [x, weight, y, x.size, x.dims.at(-1)!, arg.float(fields.alpha)],
        },
      ],
    },
    cpu({ x, weight }, { alpha }) {
      const values = x.data as Float32Array;
      const weights = weight?.data as Float32Array | undefined;
      const columns = x.dims.at(-1)!;
      return { y: values.map((v, i) => (v < 0 ? alpha * v : v) * (weights ? weights[i % columns]! : 1)) };
    },
  });
