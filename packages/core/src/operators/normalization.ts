/** Normalizations kept whole: over trailing axes, over groups of channels, per instance, across neighbouring channels. */

import type { Dim } from '../dim.js';
import { type DType, isFloat } from '../dtype.js';
import { readNumbers, tensorFromNumbers } from '../elements.js';
import { broadcastOffsets } from '../evaluate-map.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount } from '../tensor.js';
import { tensorType, type Type } from '../type.js';

const numerics = { safeIn16Bit: false };

function floatInput(c: InferContext): { dtype: DType; dims: readonly Dim[] } {
  const { dtype } = c.tensor(0);
  if (!isFloat(dtype)) c.fail(`x cannot be ${dtype}`);
  return { dtype, dims: c.dims(0) };
}

function normalizedAxis(axis: number, rank: number, fail: (message: string) => never): number {
  const normal = axis < 0 ? axis + rank : axis;
  return normal >= 0 && normal < rank ? normal : fail(`axis ${String(axis)} is out of range for rank ${String(rank)}`);
}

/** Inputs besides x broadcast to it. */
function agreeWithX(c: InferContext, dims: readonly Dim[]): void {
  for (let i = 1; i < c.inputs.length; i++) {
    const own = c.has(i) ? (c.tensor(i).dims ?? []) : [];
    if (own.length > dims.length) c.fail(`input ${String(i)} has more axes than x`);
    for (let k = 1; k <= own.length; k++)
      c.agreeWithin(dims[dims.length - k]!, own[own.length - k]!, `extents of axis -${String(k)}`);
  }
}

/** y, and with `statistics` mean and inverse standard deviation in `stashType`, the normalized axes 1. */
function inferLayerNorm(c: InferContext): Type[] {
  const { dtype, dims } = floatInput(c);
  const axis = normalizedAxis(c.attributes['axis'] as number, dims.length, (m) => c.fail(m));
  agreeWithX(c, dims);
  const y = tensorType(dtype, dims);
  if (c.attributes['statistics'] !== true) return [y];
  const statistic = tensorType(
    c.attributes['stashType'] as DType,
    dims.map((d, i) => (i < axis ? d : 1)),
  );
  return [y, statistic, statistic];
}

interface Rows {
  readonly source: Float64Array;
  readonly out: Float64Array;
  readonly rows: number;
  readonly length: number;
}

/** x as rows of everything from `axis` on. */
function rowsFrom(c: EvaluateContext): Rows & { axis: number } {
  const x = c.tensor(0);
  const axis = normalizedAxis(c.attributes['axis'] as number, x.dims.length, (m) => c.fail(m));
  const rows = elementCount(x.dims.slice(0, axis));
  return {
    axis,
    source: readNumbers(x),
    out: new Float64Array(x.size),
    rows,
    length: elementCount(x.dims.slice(axis)),
  };
}

/** Mean and inverse standard deviation of `length` elements from `start`; the mean is taken off first. */
function statistics(
  source: Float64Array,
  start: number,
  length: number,
  epsilon: number,
): { mean: number; inverse: number } {
  let sum = 0;
  for (let i = start; i < start + length; i++) sum += source[i]!;
  const mean = sum / length;
  let squares = 0;
  for (let i = start; i < start + length; i++) squares += (source[i]! - mean) ** 2;
  return { mean, inverse: 1 / Math.sqrt(squares / length + epsilon) };
}

/** out = out · scale + bias, both broadcast to x. */
function scaleAndShift(c: EvaluateContext, out: Float64Array, dims: readonly number[]): void {
  const read = (i: number): ((at: number) => number) => {
    const t = c.tensor(i);
    const values = readNumbers(t);
    const offsets = broadcastOffsets(t.dims, dims);
    offsets?.seek(0);
    return offsets ? () => values[offsets.next()]! : (at) => values[at]!;
  };
  const scale = read(1);
  const bias = c.has(2) ? read(2) : undefined;
  for (let i = 0; i < out.length; i++) out[i] = out[i]! * scale(i) + (bias ? bias(i) : 0);
}

function evaluateLayerNorm(c: EvaluateContext): ReturnType<typeof tensorFromNumbers>[] {
  const x = c.tensor(0);
  const { source, out, rows, length, axis } = rowsFrom(c);
  const means = new Float64Array(rows);
  const inverses = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const { mean, inverse } = statistics(source, r * length, length, c.attributes['epsilon'] as number);
    means[r] = mean;
    inverses[r] = inverse;
    for (let i = r * length; i < (r + 1) * length; i++) out[i] = (source[i]! - mean) * inverse;
  }
  scaleAndShift(c, out, x.dims);
  const y = tensorFromNumbers(x.dtype, out, x.dims);
  if (c.attributes['statistics'] !== true) return [y];
  const stash = c.attributes['stashType'] as DType;
  const dims = x.dims.map((d, i) => (i < axis ? d : 1));
  return [y, tensorFromNumbers(stash, means, dims), tensorFromNumbers(stash, inverses, dims)];
}

/** Normalizes x in `groups` equal parts of the channels of each sample, then scales and shifts per channel. */
function evaluateChannelNorm(c: EvaluateContext, groups: number): ReturnType<typeof tensorFromNumbers> {
  const x = c.tensor(0);
  const [batch, channels] = [x.dims[0]!, x.dims[1]!];
  if (channels % groups !== 0) c.fail(`${String(channels)} channels do not divide into ${String(groups)} groups`);
  const area = elementCount(x.dims.slice(2));
  const length = (channels / groups) * area;
  const source = readNumbers(x);
  const scale = readNumbers(c.tensor(1));
  const bias = readNumbers(c.tensor(2));
  const out = new Float64Array(source.length);
  for (let row = 0; row < batch * groups; row++) {
    const { mean, inverse } = statistics(source, row * length, length, c.attributes['epsilon'] as number);
    for (let i = row * length; i < (row + 1) * length; i++) {
      const channel = Math.floor(i / area) % channels;
      out[i] = (source[i]! - mean) * inverse * scale[channel]! + bias[channel]!;
    }
  }
  return tensorFromNumbers(x.dtype, out, x.dims);
}

/** x is [N, C, …]; scale and bias are [C]. */
function inferChannelNorm(c: InferContext): Type[] {
  const { dtype, dims } = floatInput(c);
  if (dims.length < 2) c.fail('x needs a batch and a channel axis');
  for (const i of [1, 2]) {
    const own = c.tensor(i).dims;
    if (own === undefined) continue;
    if (own.length !== 1) c.fail(`input ${String(i)} must have one dimension`);
    c.agree(dims[1]!, own[0]!, 'channels');
  }
  return [tensorType(dtype, dims)];
}

export const normalizationOperators: readonly Operator[] = [
  registerOperator({
    name: 'layerNorm',
    kind: 'reduce',
    inputs: ['x', 'scale', 'bias?'],
    outputs: ['y', 'mean', 'invStdDev'],
    attributes: { axis: -1, epsilon: 1e-5, statistics: false, stashType: 'float32' },
    infer: inferLayerNorm,
    evaluate: evaluateLayerNorm,
    numerics,
  }),
  registerOperator({
    name: 'rmsNorm',
    kind: 'reduce',
    inputs: ['x', 'scale'],
    attributes: { axis: -1, epsilon: 1e-5 },
    infer: (c) => {
      const { dtype, dims } = floatInput(c);
      normalizedAxis(c.attributes['axis'] as number, dims.length, (m) => c.fail(m));
      agreeWithX(c, dims);
      return [tensorType(dtype, dims)];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const { source, out, rows, length } = rowsFrom(c);
      for (let r = 0; r < rows; r++) {
        let squares = 0;
        for (let i = r * length; i < (r + 1) * length; i++) squares += source[i]! ** 2;
        const inverse = 1 / Math.sqrt(squares / length + (c.attributes['epsilon'] as number));
        for (let i = r * length; i < (r + 1) * length; i++) out[i] = source[i]! * inverse;
      }
      scaleAndShift(c, out, x.dims);
      return [tensorFromNumbers(x.dtype, out, x.dims)];
    },
    numerics,
  }),
  registerOperator({
    name: 'groupNorm',
    kind: 'reduce',
    inputs: ['x', 'scale', 'bias'],
    attributes: { numGroups: undefined, epsilon: 1e-5 },
    infer: inferChannelNorm,
    evaluate: (c) => [evaluateChannelNorm(c, c.attributes['numGroups'] as number)],
    numerics,
  }),
  registerOperator({
    name: 'instanceNorm',
    kind: 'reduce',
    inputs: ['x', 'scale', 'bias'],
    attributes: { epsilon: 1e-5 },
    infer: inferChannelNorm,
    evaluate: (c) => [evaluateChannelNorm(c, c.tensor(0).dims[1]!)],
    numerics,
  }),
  /** y = x / (bias + alpha / size · Σ x²)^beta, the sum over `size` channels around each. */
  registerOperator({
    name: 'lrn',
    kind: 'window',
    inputs: ['x'],
    attributes: { size: undefined, alpha: 1e-4, beta: 0.75, bias: 1 },
    infer: (c) => {
      const { dtype, dims } = floatInput(c);
      if (dims.length < 2) c.fail('x needs a batch and a channel axis');
      return [tensorType(dtype, dims)];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const [size, alpha, beta, bias] = ['size', 'alpha', 'beta', 'bias'].map(
        (name) => c.attributes[name] as number,
      ) as [number, number, number, number];
      const [batch, channels] = [x.dims[0]!, x.dims[1]!];
      const area = elementCount(x.dims.slice(2));
      const source = readNumbers(x);
      const out = new Float64Array(source.length);
      const before = Math.floor((size - 1) / 2);
      const after = Math.ceil((size - 1) / 2);
      for (let n = 0; n < batch; n++) {
        for (let channel = 0; channel < channels; channel++) {
          for (let i = 0; i < area; i++) {
            let squares = 0;
            for (let k = Math.max(0, channel - before); k <= Math.min(channels - 1, channel + after); k++)
              squares += source[(n * channels + k) * area + i]! ** 2;
            const at = (n * channels + channel) * area + i;
            out[at] = source[at]! / (bias + (alpha / size) * squares) ** beta;
          }
        }
      }
      return [tensorFromNumbers(x.dtype, out, x.dims)];
    },
    numerics,
  }),
];
