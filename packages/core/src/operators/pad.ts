/** pad: elements around those of x, a constant or repeats of x's own; negative amounts crop. */

import { addDims, formatDims, provablyEqual } from '../dim.js';
import { allocateElements, elementsOf, tensorOf } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType, type TensorType } from '../type.js';
import { dimsAttribute, evaluatedDims } from './movement.js';
import { agreeOnSome } from './some-there.js';
import { rowMajorStrides } from './strided.js';

export const padModes = ['constant', 'reflect', 'edge', 'wrap'] as const;
export type PadMode = (typeof padModes)[number];

function inferPad(c: InferContext): TensorType[] {
  const { dtype } = c.tensor(0);
  const from = c.dims(0);
  const low = dimsAttribute(c, 'low');
  const high = dimsAttribute(c, 'high');
  const mode = c.attributes['mode'] as string;
  if (!(padModes as readonly string[]).includes(mode)) c.fail(`unknown mode '${mode}'; known: ${padModes.join(', ')}`);
  if (low.length !== from.length || high.length !== from.length)
    c.fail(`low and high must have one entry per axis (${String(from.length)})`);
  if (c.has(1) && c.tensor(1).dtype !== dtype) c.fail('the value must have the dtype of the input');
  const dims = from.map((d, i) => addDims(addDims(d, low[i]!), high[i]!));
  if (dims.some((d) => typeof d === 'number' && d < 0))
    c.fail(`padding removes more than there is: ${formatDims(dims)}`);
  from.forEach((extent, axis) => {
    const wanted = dims[axis]!;
    if (mode !== 'constant' && !provablyEqual(extent, wanted))
      agreeOnSome(c, [wanted], [extent], `what is wanted and what there is to ${mode} along axis ${String(axis)}`);
  });
  return [tensorType(dtype, dims)];
}

/** Index into an axis of `extent` for position `i` left or right of it. */
function padIndex(i: number, extent: number, mode: PadMode): number {
  if (i >= 0 && i < extent) return i;
  switch (mode) {
    case 'edge':
      return i < 0 ? 0 : extent - 1;
    case 'wrap':
      return ((i % extent) + extent) % extent;
    case 'reflect': {
      if (extent === 1) return 0;
      const period = 2 * (extent - 1);
      const k = ((i % period) + period) % period;
      return k < extent ? k : period - k;
    }
    case 'constant':
      return -1;
  }
}

/** Pads by `low` and `high`, where negative amounts crop. */
function padTensor(x: Tensor, low: readonly number[], high: readonly number[], mode: PadMode, value?: Tensor): Tensor {
  const dims = x.dims.map((d, i) => d + low[i]! + high[i]!);
  const out = allocateElements(x.dtype, elementCount(dims)) as unknown as Record<number, unknown> & {
    length: number;
    fill(v: unknown): void;
  };
  const source = elementsOf(x) as ArrayLike<unknown>;
  if (value) out.fill(elementsOf(value)[0]);
  const tables = dims.map((d, axis) =>
    Int32Array.from({ length: d }, (_, i) => padIndex(i - low[axis]!, x.dims[axis]!, mode)),
  );
  const strides = rowMajorStrides(x.dims);
  const index = new Array<number>(dims.length).fill(0);
  for (let o = 0; o < out.length; o++) {
    let at = 0;
    for (let axis = 0; axis < dims.length; axis++) {
      const k = tables[axis]![index[axis]!]!;
      if (k < 0) {
        at = -1;
        break;
      }
      at += k * strides[axis]!;
    }
    if (at >= 0) out[o] = source[at];
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < dims[axis]!) break;
      index[axis] = 0;
    }
  }
  return tensorOf(x.dtype, out as unknown as ArrayLike<number>, dims);
}

/** `padTensor` after checks that only the run-time shape allows. */
export function checkedPad(
  c: EvaluateContext,
  x: Tensor,
  low: readonly number[],
  high: readonly number[],
  value?: Tensor,
): Tensor {
  const mode = c.attributes['mode'] as PadMode;
  x.dims.forEach((extent, i) => {
    const padded = extent + low[i]! + high[i]!;
    if (padded < 0) c.fail(`axis ${String(i)} would get ${String(padded)} elements`);
    if (extent === 0 && padded > 0 && mode !== 'constant') c.fail(`axis ${String(i)} is empty: nothing to ${mode}`);
  });
  return padTensor(x, low, high, mode, value);
}

export const pad: Operator = registerOperator({
  name: 'pad',
  kind: 'movement',
  inputs: ['x', 'value?'],
  attributes: { low: undefined, high: undefined, mode: 'constant' },
  infer: inferPad,
  evaluate: (c) => {
    const x = c.tensor(0);
    return [checkedPad(c, x, evaluatedDims(c, 'low'), evaluatedDims(c, 'high'), c.has(1) ? c.tensor(1) : undefined)];
  },
});
