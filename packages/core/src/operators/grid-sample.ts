/** gridSample: x read at positions that a grid gives. x [N, C, …in], grid [N, …out, rank] → [N, C, …out]. */

import { readNumbers, tensorFromNumbers } from '../elements.js';
import { roundHalfEven } from '../float-formats.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { cubicKernel } from './resize-sampling.js';
import { agreeOnSome } from './some-there.js';
import { rowMajorStrides } from './strided.js';

const cubicParameter = -0.75;

function inferGridSample(c: InferContext): ReturnType<Operator['infer']> {
  const x = c.dims(0);
  const grid = c.dims(1);
  if (x.length < 3 || grid.length !== x.length) c.fail('x and grid must have the same rank, at least 3');
  c.agree(grid.at(-1)!, x.length - 2, 'the last extent of grid and the spatial rank');
  if (!['linear', 'nearest', 'cubic'].includes(c.attributes['mode'] as string))
    c.fail("mode must be 'linear', 'nearest' or 'cubic'");
  const dims = [c.agree(x[0]!, grid[0]!, 'batch'), x[1]!, ...grid.slice(1, -1)];
  // Places outside are zeros, or elements of the image.
  if (c.attributes['paddingMode'] !== 'zeros') agreeOnSome(c, dims, x.slice(2), 'places and elements of the image');
  return [tensorType(c.tensor(0).dtype, dims)];
}

/** An index or coordinate reflected at the borders until it lies between them. */
function reflect(at: number, min: number, max: number): number {
  const range = max - min;
  if (range <= 0) return min;
  const beyond = at < min ? min - at : at > max ? at - max : 0;
  if (beyond === 0) return at;
  const turns = Math.floor(beyond / range);
  const rest = beyond - turns * range;
  const fromMin = at < min === (turns % 2 === 0);
  return fromMin ? min + rest : max - rest;
}

function evaluateGridSample(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const grid = c.tensor(1);
  const [batch, channels, ...spatial] = x.dims as [number, number, ...number[]];
  const rank = spatial.length;
  const out = grid.dims.slice(1, -1);
  const area = elementCount(out);
  const plane = elementCount(spatial);
  const strides = rowMajorStrides(spatial);
  const align = c.attributes['alignCorners'] as boolean;
  const mode = c.attributes['mode'] as string;
  const padding = c.attributes['paddingMode'] as string;
  const positions = readNumbers(grid);
  const values = readNumbers(x);
  const result = new Float64Array(batch * channels * area);
  const taps = mode === 'nearest' ? 1 : mode === 'linear' ? 2 : 4;
  const total = taps ** rank;
  const offsets = new Int32Array(total);
  const weights = new Float64Array(total);

  const index = (i: number, axis: number): number => {
    const extent = spatial[axis]!;
    if (i >= 0 && i < extent) return i;
    if (padding === 'zeros') return -1;
    if (padding === 'border') return Math.min(Math.max(i, 0), extent - 1);
    return Math.min(
      Math.max(Math.trunc(align ? reflect(i, 0, extent - 1) : reflect(i, -0.5, extent - 0.5)), 0),
      extent - 1,
    );
  };
  const place = (at: number, axis: number): number => {
    const extent = spatial[axis]!;
    const scaled = Math.fround(align ? ((at + 1) / 2) * (extent - 1) : ((at + 1) * extent - 1) / 2);
    const position = mode === 'nearest' ? roundHalfEven(scaled) : scaled;
    const [min, max] = align ? ([0, extent - 1] as const) : ([-0.5, extent - 0.5] as const);
    if (position >= min && position <= max) return position;
    if (padding === 'border' && mode === 'cubic') {
      // What no integer holds counts as -1, as ONNX Runtime has it.
      if (!(Math.abs(position) < 2 ** 63)) return min;
      // Cubic kernels keep their place and meet the border tap by tap: from here on, with all taps.
      return Math.min(Math.max(position, -2), extent + 1);
    }
    if (padding === 'border') return Math.min(Math.max(position, 0), extent - 1);
    return padding === 'reflection' ? reflect(position, min, max) : position;
  };

  for (let n = 0; n < batch; n++) {
    for (let p = 0; p < area; p++) {
      offsets.fill(0);
      weights.fill(1);
      for (let axis = 0, block = total; axis < rank; axis++) {
        block /= taps;
        // The grid lists the innermost axis first.
        const at = place(positions[(n * area + p) * rank + (rank - 1 - axis)]!, axis);
        const low = mode === 'nearest' ? Math.trunc(at) : Math.floor(at) - (taps / 2 - 1);
        for (let t = 0; t < total; t++) {
          const tap = low + (Math.floor(t / block) % taps);
          const i = index(tap, axis);
          const distance = Math.abs(at - tap);
          const weight =
            mode === 'nearest' ? 1 : mode === 'linear' ? 1 - distance : cubicKernel(distance, cubicParameter);
          weights[t] = i < 0 ? 0 : weights[t]! * weight;
          offsets[t] = offsets[t]! + Math.max(i, 0) * strides[axis]!;
        }
      }
      for (let channel = 0; channel < channels; channel++) {
        const base = (n * channels + channel) * plane;
        let sum = 0;
        for (let t = 0; t < total; t++) if (weights[t] !== 0) sum += weights[t]! * values[base + offsets[t]!]!;
        result[(n * channels + channel) * area + p] = sum;
      }
    }
  }
  return [tensorFromNumbers(x.dtype, result, [batch, channels, ...out])];
}

export const gridSample: Operator = registerOperator({
  name: 'gridSample',
  kind: 'opaque',
  inputs: ['x', 'grid'],
  attributes: { alignCorners: false, mode: 'linear', paddingMode: 'zeros' },
  infer: inferGridSample,
  evaluate: evaluateGridSample,
});
