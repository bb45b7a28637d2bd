/** conv: convolution over any number of spatial axes. x [N, C, …], w [M, C / group, …], bias [M]. */

import type { Dim } from '../dim.js';
import { exactQuotient } from '../dim.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { contractionDType, fromSums } from './dot.js';
import { isExactInDouble, multiplyInt32, multiplyInto, numbersOf, offsetsOf, type Operand } from './multiply.js';
import { checkCounts, type KnownWindows, knownWindowsOf, windowCounts, windowsOf } from './spatial.js';
import { rowMajorStrides } from './strided.js';

/** The kernel's spatial extents, which must be known. */
export function kernelOf(c: InferContext, weightInput: number): readonly number[] {
  const kernel = c.dims(weightInput).slice(2);
  if (kernel.some((k) => typeof k !== 'number')) c.fail('the spatial extents of the weights must be known');
  return kernel as readonly number[];
}

export function checkBias(c: InferContext, input: number, channels: Dim): void {
  if (!c.has(input)) return;
  const dims = c.dims(input);
  if (dims.length !== 1) c.fail(`the bias must have rank 1, has rank ${String(dims.length)}`);
  c.agree(dims[0]!, channels, 'bias and output channels');
}

function inferConv(c: InferContext): ReturnType<Operator['infer']> {
  const x = c.dims(0);
  const w = c.dims(1);
  const group = c.attributes['group'] as number;
  if (x.length < 3 || w.length !== x.length) c.fail('x and w must have the same rank, at least 3');
  const channels = exactQuotient(x[1]!, group);
  if (channels === undefined && typeof x[1] === 'number')
    c.fail(`${String(x[1])} input channels are no multiple of group ${String(group)}`);
  if (channels !== undefined) c.agree(channels, w[1]!, 'channels of x per group and of w');
  if (typeof w[0] === 'number' && w[0] % group !== 0)
    c.fail(`${String(w[0])} output channels are no multiple of group ${String(group)}`);
  checkBias(c, 2, w[0]!);
  const dtype = contractionDType(c.tensor(0).dtype, c.tensor(1).dtype);
  if (dtype === undefined) c.fail('x and w must be of one numeric dtype, or both integers of at most 16 bits');
  const counts = checkCounts(c, windowCounts(x.slice(2), windowsOf(c, kernelOf(c, 1))));
  return [tensorType(dtype, [x[0]!, w[0]!, ...counts])];
}

function evaluateConv(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const w = c.tensor(1);
  const group = c.attributes['group'] as number;
  const [batch, channels, ...spatial] = x.dims as [number, number, ...number[]];
  const [outChannels, groupChannels, ...kernel] = w.dims as [number, number, ...number[]];
  if (channels !== groupChannels * group)
    c.fail(`x has ${String(channels)} channels, w and group ask for ${String(groupChannels * group)}`);
  const windows = knownWindowsOf(c, kernel);
  const counts = windowCounts(spatial, windows) as number[];
  if (counts.some((n) => n < 0)) c.fail('the kernel does not fit the padded input');
  const dtype = contractionDType(x.dtype, w.dtype) ?? c.fail(`cannot multiply ${x.dtype} and ${w.dtype}`);

  const padded = padPlanes(numbersOf(x), batch * channels, spatial, windows);
  const plane = elementCount(padded.dims);
  const weights = numbersOf(w);
  const strides = rowMajorStrides(padded.dims);
  const places = offsetsOf(
    counts,
    strides.map((s, i) => s * windows.strides[i]!),
  );
  const taps = offsetsOf([groupChannels, ...kernel], [plane, ...strides.map((s, i) => s * windows.dilations[i]!)]);
  const depth = taps.length;
  const rows = outChannels / group;
  const index = (n: number, stride: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i * stride);
  const wraps = dtype === 'int32' && !isExactInDouble(padded.data, weights, depth);

  const sums = new Float64Array(batch * outChannels * places.length);
  const bias = c.has(2) ? numbersOf(c.tensor(2)) : undefined;
  for (let n = 0; n < batch; n++) {
    for (let g = 0; g < group; g++) {
      const at = (n * outChannels + g * rows) * places.length;
      const block = sums.subarray(at, at + rows * places.length);
      if (bias)
        for (let m = 0; m < rows; m++) block.fill(bias[g * rows + m]!, m * places.length, (m + 1) * places.length);
      const left: Operand = {
        data: weights,
        base: g * rows * depth,
        outer: index(rows, depth),
        inner: index(depth, 1),
      };
      const right: Operand = {
        data: padded.data,
        base: (n * channels + g * groupChannels) * plane,
        outer: places,
        inner: taps,
      };
      if (wraps) multiplyInt32(left, right).forEach((v, i) => (block[i] = block[i]! + v));
      else multiplyInto(block, left, right);
    }
  }
  return [fromSums(dtype, sums, [batch, outChannels, ...counts])];
}

/** `planes` images with their zero padding written out, so that every window lies inside; negative pads crop. */
export function padPlanes(
  data: ReturnType<typeof numbersOf>,
  planes: number,
  spatial: readonly number[],
  w: KnownWindows,
): { data: ReturnType<typeof numbersOf>; dims: number[] } {
  const rank = spatial.length;
  if (w.pads.every((p) => p === 0)) return { data, dims: [...spatial] };
  const dims = spatial.map((extent, i) => extent + w.pads[i]! + w.pads[i + rank]!);
  const size = elementCount(dims);
  const out =
    data instanceof Float32Array
      ? new Float32Array(planes * size)
      : data instanceof Int32Array
        ? new Int32Array(planes * size)
        : new Float64Array(planes * size);
  // The part of the input that is kept, and where it goes.
  const from = spatial.map((_, i) => Math.max(0, -w.pads[i]!));
  const kept = spatial.map((extent, i) => extent - from[i]! - Math.max(0, -w.pads[i + rank]!));
  const to = spatial.map((_, i) => Math.max(0, w.pads[i]!));
  if (kept.some((k) => k <= 0)) return { data: out, dims };
  const inStrides = rowMajorStrides(spatial);
  const outStrides = rowMajorStrides(dims);
  const inAt = offsetsOf(kept, inStrides);
  const outAt = offsetsOf(kept, outStrides);
  const inBase = from.reduce((sum, f, i) => sum + f * inStrides[i]!, 0);
  const outBase = to.reduce((sum, t, i) => sum + t * outStrides[i]!, 0);
  const inSize = elementCount(spatial);
  for (let p = 0; p < planes; p++) {
    for (let i = 0; i < inAt.length; i++) out[p * size + outBase + outAt[i]!] = data[p * inSize + inBase + inAt[i]!]!;
  }
  return { data: out, dims };
}

export const conv: Operator = registerOperator({
  name: 'conv',
  kind: 'contraction',
  inputs: ['x', 'w', 'bias?'],
  attributes: { strides: [], dilations: [], pads: [], group: 1, tf32: undefined },
  infer: inferConv,
  evaluate: evaluateConv,
  numerics: { safeIn16Bit: true },
});
