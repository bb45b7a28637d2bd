/** pool: maximum, average or p-norm of sliding windows; maxPoolWithIndices also says where the maxima were. */

import type { Dim } from '../dim.js';
import { tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { numbersOf } from './multiply.js';
import { checkCounts, type KnownWindows, knownWindowsOf, windowCounts, windowsOf } from './spatial.js';
import { rowMajorStrides } from './strided.js';

function pooledDims(c: InferContext): readonly Dim[] {
  const x = c.dims(0);
  const kernel = c.attributes['kernelShape'] as readonly number[];
  if (kernel.length !== x.length - 2)
    c.fail(`kernelShape has ${String(kernel.length)} elements, x has ${String(x.length - 2)} spatial axes`);
  const counts = windowCounts(x.slice(2), windowsOf(c, kernel), c.attributes['ceilMode'] as boolean);
  return [x[0]!, x[1]!, ...checkCounts(c, counts)];
}

/** The input elements of every window: taps[starts[p] … starts[p + 1]] are offsets within a plane. */
interface WindowTaps {
  readonly counts: readonly number[];
  readonly starts: Int32Array;
  readonly taps: Int32Array;
  /** Elements of each window that lie in the input or the padding. */
  readonly covered: Float64Array;
}

function windowTaps(spatial: readonly number[], w: KnownWindows, ceil: boolean): WindowTaps {
  const rank = spatial.length;
  const counts = windowCounts(spatial, w, ceil) as number[];
  const strides = rowMajorStrides(spatial);
  let starts = Int32Array.of(0, 1);
  let taps = new Int32Array(1);
  let covered = Float64Array.of(1);
  // Axis by axis: the windows so far times those of the next axis.
  for (let axis = 0; axis < rank; axis++) {
    const along = axisTaps(spatial[axis]!, counts[axis]!, w, axis, rank);
    const nextStarts: number[] = [0];
    const nextTaps: number[] = [];
    const nextCovered: number[] = [];
    for (let p = 0; p < covered.length; p++) {
      for (const { inside, span } of along) {
        for (let t = starts[p]!; t < starts[p + 1]!; t++)
          for (const i of inside) nextTaps.push(taps[t]! + i * strides[axis]!);
        nextStarts.push(nextTaps.length);
        nextCovered.push(covered[p]! * span);
      }
    }
    starts = Int32Array.from(nextStarts);
    taps = Int32Array.from(nextTaps);
    covered = Float64Array.from(nextCovered);
  }
  return { counts, starts, taps, covered };
}

function axisTaps(
  extent: number,
  count: number,
  w: KnownWindows,
  axis: number,
  rank: number,
): { inside: number[]; span: number }[] {
  return Array.from({ length: count }, (_, p) => {
    const first = p * w.strides[axis]! - w.pads[axis]!;
    const inside: number[] = [];
    let span = 0;
    for (let k = 0; k < w.kernel[axis]!; k++) {
      const i = first + k * w.dilations[axis]!;
      if (i >= 0 && i < extent) inside.push(i);
      if (i < extent + w.pads[axis + rank]!) span++;
    }
    return { inside, span };
  });
}

interface Pooled extends WindowTaps {
  readonly x: Tensor;
  /** Channels of all images, each of which has `plane` elements and gives `area`. */
  readonly images: number;
  readonly spatial: readonly number[];
  readonly plane: number;
  readonly area: number;
  readonly dims: readonly number[];
}

function pooled(c: EvaluateContext): Pooled {
  const x = c.tensor(0);
  const [batch, channels, ...spatial] = x.dims as [number, number, ...number[]];
  const windows = knownWindowsOf(c, c.attributes['kernelShape'] as readonly number[]);
  const found = windowTaps(spatial, windows, c.attributes['ceilMode'] as boolean);
  return {
    ...found,
    x,
    images: batch * channels,
    spatial,
    plane: elementCount(spatial),
    area: found.covered.length,
    dims: [batch, channels, ...found.counts],
  };
}

function evaluatePool(c: EvaluateContext): Tensor[] {
  const { x, images, plane, area, dims, starts, taps, covered } = pooled(c);
  const data = numbersOf(x);
  const out = new Float64Array(images * area);
  const kind = c.attributes['kind'] as string;
  const p = c.attributes['p'] as number;
  const includePad = c.attributes['countIncludePad'] as boolean;
  for (let image = 0, o = 0; image < images; image++) {
    const base = image * plane;
    for (let place = 0; place < area; place++, o++) {
      const from = starts[place]!;
      const to = starts[place + 1]!;
      let value = kind === 'max' ? -Infinity : 0;
      if (kind === 'max') {
        for (let t = from; t < to; t++) value = Math.max(value, data[base + taps[t]!]!);
      } else if (kind === 'average') {
        for (let t = from; t < to; t++) value += data[base + taps[t]!]!;
        value /= includePad ? covered[place]! : to - from;
      } else {
        for (let t = from; t < to; t++) value += Math.abs(data[base + taps[t]!]!) ** p;
        value = value ** (1 / p);
      }
      out[o] = value;
    }
  }
  return [tensorFromNumbers(x.dtype, out, dims)];
}

function evaluateMaxPoolWithIndices(c: EvaluateContext): Tensor[] {
  const { x, images, spatial, plane, area, dims, starts, taps } = pooled(c);
  const data = numbersOf(x);
  const out = new Float64Array(images * area);
  const indices = new BigInt64Array(out.length);
  const columnMajor = c.attributes['storageOrder'] === 1;
  const strides = rowMajorStrides(spatial);
  const reversed = rowMajorStrides([...spatial].reverse()).reverse();
  const place = (offset: number): number =>
    strides.reduce((sum, s, i) => sum + (Math.floor(offset / s) % spatial[i]!) * reversed[i]!, 0);
  for (let image = 0, o = 0; image < images; image++) {
    const base = image * plane;
    for (let p = 0; p < area; p++, o++) {
      let best = -1;
      let value = -Infinity;
      for (let t = starts[p]!; t < starts[p + 1]!; t++) {
        const v = data[base + taps[t]!]!;
        if (best < 0 || v > value) {
          value = v;
          best = taps[t]!;
        }
      }
      out[o] = value;
      indices[o] = BigInt(best < 0 ? -1 : base + (columnMajor ? place(best) : best));
    }
  }
  return [tensorFromNumbers(x.dtype, out, dims), new Tensor('int64', indices, dims)];
}

const windowAttributes = { kernelShape: undefined, strides: [], pads: [], dilations: [], ceilMode: false };

export const poolOperators: readonly Operator[] = [
  registerOperator({
    name: 'pool',
    kind: 'window',
    inputs: ['x'],
    attributes: { kind: undefined, ...windowAttributes, countIncludePad: false, p: 2 },
    infer: (c) => {
      if (!['max', 'average', 'lp'].includes(c.attributes['kind'] as string))
        c.fail("kind must be 'max', 'average' or 'lp'");
      return [tensorType(c.tensor(0).dtype, pooledDims(c))];
    },
    evaluate: evaluatePool,
    numerics: { safeIn16Bit: true },
  }),
  /** Indices count through the whole input tensor; storageOrder 1 takes the spatial axes in column-major order. */
  registerOperator({
    name: 'maxPoolWithIndices',
    kind: 'window',
    inputs: ['x'],
    outputs: ['y', 'indices'],
    attributes: { ...windowAttributes, storageOrder: 0 },
    infer: (c) => {
      const dims = pooledDims(c);
      return [tensorType(c.tensor(0).dtype, dims), tensorType('int64', dims)];
    },
    evaluate: evaluateMaxPoolWithIndices,
    numerics: { safeIn16Bit: true },
  }),
];
