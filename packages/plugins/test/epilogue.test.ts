/** Layers that follow a plugin, computed in its kernels. */

import { ceilDivDims, type DType } from '@tensorwright/core';
import { definePlugin, field, PluginRegistry } from '@tensorwright/plugins';
import { describe, expect, it } from 'vitest';
import { compare, hasDevice } from '../../backend-cuda/test/compare.js';

/** y = 2x + 1, a vector of four a thread. */
const affine = definePlugin({
  name: 'EpilogueAffine',
  fields: { width: field.int(4) },
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }) => ({ y: x }),
  cuda: {
    dtypes: ['float32', 'float16'],
    epilogue: true,
    formats: [{}, { x: 'channelsLast', y: 'channelsLast' }],
    source: `
template <int W, typename T, typename Y>
__global__ void affine(const T* x, Y y, int size) {
  const int i = (blockIdx.x * blockDim.x + threadIdx.x) * W;
  if (i >= size) return;
  if constexpr (W == 1) {
    y.store(i, 2 * float(x[i]) + 1);
  } else {
    Vec<f32, W> v;
    for (int k = 0; k < W; ++k) v.v[k] = 2 * float(x[i + k]) + 1;
    y.store(i, v);
  }
}`,
    launches: ({ inputs: { x }, outputs: { y }, fields: { width } }) => [
      {
        kernel: `affine<${String(width)}, ${x.type}>`,
        grid: ceilDivDims(x.size, 64 * width),
        block: 64,
        arguments: [x, y, x.size],
      },
    ],
  },
  cpu: ({ x }) => ({ y: (x.data as Float32Array).map((v) => 2 * v + 1) }),
});
PluginRegistry.global.register(affine);

/** The same; its vectors begin behind the first element. */
const shifted = definePlugin({
  name: 'EpilogueShifted',
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }) => ({ y: x }),
  cuda: {
    dtypes: ['float32', 'float16'],
    epilogue: true,
    source: `
template <typename T, typename Y>
__global__ void shifted(const T* x, Y y, int size) {
  const int thread = blockIdx.x * blockDim.x + threadIdx.x, i = 1 + 4 * thread;
  const auto value = [&](int at) { return 2 * float(x[at]) + 1; };
  if (thread == 0) y.store(0, value(0));
  if (i + 4 <= size) {
    Vec<f32, 4> v;
    for (int k = 0; k < 4; ++k) v.v[k] = value(i + k);
    y.store(i, v);
  } else {
    for (int at = i; at < size; ++at) y.store(at, value(at));
  }
}`,
    launches: ({ inputs: { x }, outputs: { y } }) => [
      { kernel: `shifted<${x.type}>`, grid: ceilDivDims(x.size, 256), block: 64, arguments: [x, y, x.size] },
    ],
  },
  cpu: ({ x }) => ({ y: (x.data as Float32Array).map((v) => 2 * v + 1) }),
});
PluginRegistry.global.register(shifted);
const operator = affine.operator.name;
const step = 'cuda.provided.EpilogueAffine@1.format0';

describe.skipIf(!hasDevice)('a plugin whose kernels take an epilogue', () => {
  it.each([
    ['float32', 4, [2, 3, 8]],
    ['float16', 4, [2, 3, 8]],
    ['float32', 1, [3, 5, 7]],
  ] as const)('computes what follows in %s, %i at once', async (dtype: DType, width, dims) => {
    await compare({
      inputs: [
        { dtype, dims },
        { dtype, dims: dims.slice(-1) },
        { dtype, dims },
      ],
      graph: (b, x, bias, other) => {
        const sum = b.op('add', [b.op(operator, [x], { width }), bias]);
        return b.op('sub', [b.op('mul', [b.op('sigmoid', [sum]), other]), x]);
      },
      steps: [step],
    });
  });

  it.each(['float32', 'float16'] as const)('takes vectors of %s from any element on', async (dtype: DType) => {
    await compare({
      inputs: [
        { dtype, dims: [3, 8] },
        { dtype, dims: [8] },
      ],
      graph: (b, x, bias) => b.op('relu', [b.op('add', [b.op(shifted.operator.name, [x]), bias])]),
      steps: ['cuda.provided.EpilogueShifted@1'],
    });
  });

  it('stores in the dtype of what is left', async () => {
    await compare({
      inputs: [{ dtype: 'float16', dims: [4, 4] }],
      graph: (b, x) => b.op('exp', [b.op('cast', [b.op(operator, [x])], { to: 'float32' })]),
      tolerance: 2e-3,
      steps: [step],
    });
  });

  it('computes with extents that only the run knows, and in other layouts', async () => {
    await compare({
      inputs: [
        { dtype: 'float32', dims: [2, 3, 4, 5], symbols: [undefined, undefined, 'h', undefined] },
        { dtype: 'float32', dims: [3, 1, 1] },
      ],
      graph: (b, x, bias) => b.op('relu', [b.op('add', [b.op(operator, [x], { width: 1 }), bias])]),
      force: { tactic: 'cuda.provided.EpilogueAffine@1.format1', parameters: {} },
    });
  });

  it('stays alone where its result is read besides', async () => {
    await compare({
      inputs: [{ dtype: 'float32', dims: [8] }],
      graph: (b, x) => {
        const y = b.op(operator, [x]);
        return [b.op('exp', [y]), y];
      },
      steps: [step, 'cuda.map'],
    });
  });

  it('is told when it cannot have one', () => {
    expect(() =>
      definePlugin({
        name: 'EpilogueTwo',
        inputs: ['x'],
        outputs: ['y', 'z'],
        infer: ({ inputs: { x } }) => ({ y: x, z: x }),
        cuda: { source: '', epilogue: true, launches: () => [] },
      }),
    ).toThrow(/one output/);
  });
});
