/**
 * deformConv: convolution whose taps are displaced by `offset` and weighted by `mask`, both computed by the network.
 * x [N, C, …], w [M, C / group, …], offset [N, offsetGroup · taps · rank, …out], bias [M], mask [N, offsetGroup · taps, …out].
 */

import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { checkBias, kernelOf } from './conv.js';
import { fromSums } from './dot.js';
import { multiplyInto, type NumberArray, numbersOf } from './multiply.js';
import { checkCounts, knownWindowsOf, windowCounts, windowsOf } from './spatial.js';
import { rowMajorStrides } from './strided.js';

function inferDeformConv(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype } = c.tensor(0);
  const x = c.dims(0);
  const w = c.dims(1);
  const group = c.attributes['group'] as number;
  if (x.length < 3 || w.length !== x.length) c.fail('x and w must have the same rank, at least 3');
  if (typeof x[1] === 'number' && typeof w[1] === 'number' && x[1] !== w[1] * group)
    c.fail('channels of x, w and group do not fit');
  checkBias(c, 3, w[0]!);
  const kernel = kernelOf(c, 1);
  const counts = checkCounts(c, windowCounts(x.slice(2), windowsOf(c, kernel)));
  const offset = c.dims(2);
  const displaced = (c.attributes['offsetGroup'] as number) * elementCount(kernel);
  c.agree(offset[1]!, displaced * kernel.length, 'channels of offset');
  c.agree(offset[0]!, x[0]!, 'batches of offset and x');
  if (c.has(4)) {
    c.dims(4).forEach((d, i) => {
      if (i === 1) c.agree(d, displaced, 'channels of mask');
      else c.agree(d, offset[i]!, `extents of axis ${String(i)} of mask and offset`);
    });
  }
  return [
    tensorType(dtype, [
      x[0]!,
      w[0]!,
      ...counts.map((n, i) => c.agree(n, offset[i + 2]!, 'spatial extents of offset and output')),
    ]),
  ];
}

function evaluateDeformConv(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const w = c.tensor(1);
  const group = c.attributes['group'] as number;
  const offsetGroup = c.attributes['offsetGroup'] as number;
  const [batch, channels, ...spatial] = x.dims as [number, number, ...number[]];
  const [outChannels, groupChannels, ...kernel] = w.dims as [number, number, ...number[]];
  const rank = spatial.length;
  const windows = knownWindowsOf(c, kernel);
  const counts = windowCounts(spatial, windows) as number[];
  const data = numbersOf(x);
  const offsets = numbersOf(c.tensor(2));
  const mask = c.has(4) ? numbersOf(c.tensor(4)) : undefined;
  const bias = c.has(3) ? numbersOf(c.tensor(3)) : undefined;
  const weights = numbersOf(w);
  const taps = elementCount(kernel);
  const area = elementCount(counts);
  const plane = elementCount(spatial);
  const rows = outChannels / group;
  const depth = groupChannels * taps;
  const index = (n: number, stride: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i * stride);
  const placeIndex = indexTuples(counts);
  const tapIndex = indexTuples(kernel);

  const sample = sampler(spatial);
  const columns = new Float64Array(channels * taps * area);
  const at = new Float64Array(rank);
  const sums = new Float64Array(batch * outChannels * area);
  for (let n = 0; n < batch; n++) {
    for (let channel = 0; channel < channels; channel++) {
      const og = Math.floor(channel / (channels / offsetGroup));
      for (let t = 0; t < taps; t++) {
        const offsetBase = ((n * offsetGroup + og) * taps + t) * rank * area;
        const maskBase = ((n * offsetGroup + og) * taps + t) * area;
        for (let p = 0; p < area; p++) {
          for (let i = 0; i < rank; i++) {
            at[i] =
              placeIndex[p * rank + i]! * windows.strides[i]! -
              windows.pads[i]! +
              tapIndex[t * rank + i]! * windows.dilations[i]! +
              offsets[offsetBase + i * area + p]!;
          }
          const value = sample(data, (n * channels + channel) * plane, at);
          columns[(channel * taps + t) * area + p] = mask ? value * mask[maskBase + p]! : value;
        }
      }
    }
    for (let g = 0; g < group; g++) {
      const start = (n * outChannels + g * rows) * area;
      const block = sums.subarray(start, start + rows * area);
      if (bias) for (let m = 0; m < rows; m++) block.fill(bias[g * rows + m]!, m * area, (m + 1) * area);
      multiplyInto(
        block,
        { data: weights, base: g * rows * depth, outer: index(rows, depth), inner: index(depth, 1) },
        { data: columns, base: g * depth * area, outer: index(area, 1), inner: index(depth, area) },
      );
    }
  }
  return [fromSums(x.dtype, sums, [batch, outChannels, ...counts])];
}

/** All index tuples of `dims` in row-major order, flat. */
export function indexTuples(dims: readonly number[]): Int32Array {
  const rank = dims.length;
  const count = elementCount(dims);
  const out = new Int32Array(count * rank);
  const strides = rowMajorStrides(dims);
  for (let i = 0; i < count; i++) {
    for (let axis = 0; axis < rank; axis++) out[i * rank + axis] = Math.floor(i / strides[axis]!) % dims[axis]!;
  }
  return out;
}

/**
 * Multilinear interpolation at a fractional position; zero outside, and where the position is NaN. As in ONNX Runtime,
 * neighbours of weight 0 count as well: beside an infinite one, the result is NaN.
 */
function sampler(dims: readonly number[]): (data: NumberArray, base: number, at: Float64Array) => number {
  const strides = rowMajorStrides(dims);
  const corners = 2 ** dims.length;
  return (data, base, at) => {
    if (!dims.every((d, i) => at[i]! > -1 && at[i]! < d)) return 0;
    let sum = 0;
    for (let corner = 0; corner < corners; corner++) {
      let weight = 1;
      let offset = base;
      let exists = true;
      for (let i = 0; i < dims.length; i++) {
        const low = Math.floor(at[i]!);
        const high = (corner >> i) & 1;
        const index = low + high;
        const fraction = at[i]! - low;
        weight *= high ? fraction : 1 - fraction;
        exists &&= index >= 0 && index < dims[i]!;
        offset += index * strides[i]!;
      }
      if (exists) sum += weight * data[offset]!;
    }
    return sum;
  };
}

export const deformConv: Operator = registerOperator({
  name: 'deformConv',
  kind: 'contraction',
  inputs: ['x', 'w', 'offset', 'bias?', 'mask?'],
  attributes: { strides: [], dilations: [], pads: [], group: 1, offsetGroup: 1 },
  infer: inferDeformConv,
  evaluate: evaluateDeformConv,
  numerics: { safeIn16Bit: true },
});
