/** convTranspose: the gradient of conv by its input. x [N, C, …], w [C, M / group, …], bias [M]. */

import { addDims, type Dim, exactQuotient, mulDims, subDims } from '../dim.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { checkBias, kernelOf, padPlanes } from './conv.js';
import { contractionDType, fromSums } from './dot.js';
import { multiplyInto, numbersOf, offsetsOf } from './multiply.js';
import { checkCounts, type KnownWindows, kernelSpan, knownWindowsOf, type Windows, windowsOf } from './spatial.js';
import { rowMajorStrides } from './strided.js';

/** Extents before the pads are cut off. */
function fullExtents(input: readonly Dim[], w: Windows, outputPadding: readonly number[]): Dim[] {
  return input.map((extent, i) => {
    const last = mulDims(subDims(extent, 1), w.strides[i]!);
    return addDims(last, kernelSpan(w.kernel[i]!, w.dilations[i]!) + (outputPadding[i] ?? 0));
  });
}

function inferConvTranspose(c: InferContext): ReturnType<Operator['infer']> {
  const x = c.dims(0);
  const w = c.dims(1);
  const group = c.attributes['group'] as number;
  if (x.length < 3 || w.length !== x.length) c.fail('x and w must have the same rank, at least 3');
  c.agree(x[1]!, w[0]!, 'channels of x and of w');
  if (exactQuotient(w[0]!, group) === undefined) c.fail(`the input channels are no multiple of group ${String(group)}`);
  const channels = mulDims(w[1]!, group);
  checkBias(c, 2, channels);
  const dtype = contractionDType(c.tensor(0).dtype, c.tensor(1).dtype);
  if (dtype === undefined) c.fail('x and w must be of one numeric dtype, or both integers of at most 16 bits');
  const windows = windowsOf(c, kernelOf(c, 1));
  const rank = x.length - 2;
  const full = fullExtents(x.slice(2), windows, c.attributes['outputPadding'] as readonly number[]);
  const spatial = full.map((extent, i) => subDims(extent, addDims(windows.pads[i]!, windows.pads[i + rank]!)));
  return [tensorType(dtype, [x[0]!, channels, ...checkCounts(c, spatial)])];
}

function evaluateConvTranspose(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const w = c.tensor(1);
  const group = c.attributes['group'] as number;
  const [batch, channels, ...spatial] = x.dims as [number, number, ...number[]];
  const [weightChannels, rows, ...kernel] = w.dims as [number, number, ...number[]];
  if (channels !== weightChannels) c.fail(`x has ${String(channels)} channels, w has ${String(weightChannels)}`);
  const windows = knownWindowsOf(c, kernel);
  const dtype = contractionDType(x.dtype, w.dtype) ?? c.fail(`cannot multiply ${x.dtype} and ${w.dtype}`);
  const full = fullExtents(spatial, windows, c.attributes['outputPadding'] as readonly number[]) as number[];
  const data = numbersOf(x);
  const weights = numbersOf(w);
  const area = elementCount(spatial);
  const taps = elementCount(kernel);
  const perGroup = channels / group;
  const index = (n: number, stride: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i * stride);

  const columns = new Float64Array(rows * taps * area);
  const outChannels = rows * group;
  const sums = new Float64Array(batch * outChannels * elementCount(full));
  for (let n = 0; n < batch; n++) {
    for (let g = 0; g < group; g++) {
      columns.fill(0);
      multiplyInto(
        columns,
        {
          data: weights,
          base: g * perGroup * rows * taps,
          outer: index(rows * taps, 1),
          inner: index(perGroup, rows * taps),
        },
        { data, base: (n * channels + g * perGroup) * area, outer: index(area, 1), inner: index(perGroup, area) },
      );
      addWindows(sums, (n * outChannels + g * rows) * elementCount(full), full, columns, rows, spatial, windows);
    }
  }
  const { data: cropped, dims } = cropPlanes(sums, batch * outChannels, full, windows);
  if (c.has(2)) {
    const bias = numbersOf(c.tensor(2));
    const size = elementCount(dims);
    for (let p = 0, i = 0; p < batch * outChannels; p++) {
      const b = bias[p % outChannels]!;
      for (let k = 0; k < size; k++, i++) cropped[i] = cropped[i]! + b;
    }
  }
  return [fromSums(dtype, cropped, [batch, outChannels, ...dims])];
}

/**
 * Adds columns [planes, taps, places] into images of `dims`, where place p and tap t meet at
 * p · stride + t · dilation: the reverse of taking windows.
 */
export function addWindows(
  to: Float64Array,
  base: number,
  dims: readonly number[],
  columns: Float64Array,
  planes: number,
  counts: readonly number[],
  w: KnownWindows,
): void {
  const strides = rowMajorStrides(dims);
  const places = offsetsOf(
    counts,
    strides.map((s, i) => s * w.strides[i]!),
  );
  const taps = offsetsOf(
    w.kernel,
    strides.map((s, i) => s * w.dilations[i]!),
  );
  const size = elementCount(dims);
  for (let plane = 0, i = 0; plane < planes; plane++) {
    for (const tap of taps) {
      const at = base + plane * size + tap;
      for (let p = 0; p < places.length; p++, i++) {
        const q = at + places[p]!;
        to[q] = to[q]! + columns[i]!;
      }
    }
  }
}

/** Cuts the pads off (adds zeros where they are negative). */
export function cropPlanes(
  data: Float64Array,
  planes: number,
  dims: readonly number[],
  w: KnownWindows,
): { data: Float64Array; dims: number[] } {
  const cropped = padPlanes(data, planes, dims, { ...w, pads: w.pads.map((p) => -p) });
  return { data: cropped.data as Float64Array, dims: cropped.dims };
}

export const convTranspose: Operator = registerOperator({
  name: 'convTranspose',
  kind: 'contraction',
  inputs: ['x', 'w', 'bias?'],
  attributes: { strides: [], dilations: [], pads: [], outputPadding: [], group: 1, tf32: undefined },
  infer: inferConvTranspose,
  evaluate: evaluateConvTranspose,
  numerics: { safeIn16Bit: true },
});
