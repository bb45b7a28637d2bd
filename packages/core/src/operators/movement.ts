/** Movement operators whose sizes are known as dims: elements only change place. Run-time sizes: see movement-dynamic.ts. */

import { addDims, type Dim, formatDims, productOf } from '../dim.js';
import { allocateElements, elementsOf, tensorOf } from '../elements.js';
import type { EvaluateContext, InferContext, Operator } from '../operator.js';
import { registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType, type TensorType } from '../type.js';
import { broadcastStrides, copyStrided, rowMajorStrides, type StridedView } from './strided.js';

/** A fact of the i-th input with its dims, when both are fully known. */
function knownElements(c: InferContext, i: number): { elements: readonly Dim[]; dims: readonly number[] } | undefined {
  const elements = c.fact(i);
  const dims = c.tensor(i).dims;
  if (!elements || !dims?.every((d) => typeof d === 'number')) return undefined;
  return { elements, dims };
}

/** Elements of one fact moved as `view` says. */
function movedFact(elements: readonly Dim[], view: StridedView, dims: readonly number[]): readonly Dim[] {
  const out = new Array<Dim>(elementCount(dims)).fill(0);
  copyStrided(elements, view, out, { offset: 0, strides: rowMajorStrides(dims) }, dims);
  return out;
}

/** A dense copy of the elements that `view` selects. */
export function gatherView(x: Tensor, view: StridedView, dims: readonly number[]): Tensor {
  const out = allocateElements(x.dtype, elementCount(dims));
  copyStrided(elementsOf(x), view, out, { offset: 0, strides: rowMajorStrides(dims) }, dims);
  return tensorOf(x.dtype, out, dims);
}

export function dimsAttribute(c: { attributes: InferContext['attributes'] }, name: string): readonly Dim[] {
  return c.attributes[name] as readonly Dim[];
}

export function evaluatedDims(c: EvaluateContext, name: string): number[] {
  return dimsAttribute(c, name).map((d) => c.dim(d));
}

function isNumbers(dims: readonly Dim[] | undefined): dims is number[] {
  return dims?.every((d) => typeof d === 'number') === true;
}

/** The permutation that `transpose` applies, checked. */
function permutation(c: InferContext, rank: number): readonly number[] {
  const perm = c.attributes['perm'] as readonly number[];
  if (
    perm.length !== rank ||
    new Set(perm).size !== rank ||
    perm.some((p) => !Number.isInteger(p) || p < 0 || p >= rank)
  ) {
    c.fail(`perm [${perm.join(', ')}] is no permutation of ${String(rank)} axes`);
  }
  return perm;
}

function sliceView(dims: readonly number[], starts: readonly number[], steps: readonly number[]): StridedView {
  const strides = rowMajorStrides(dims);
  return {
    offset: starts.reduce((sum, start, i) => sum + start * strides[i]!, 0),
    strides: strides.map((s, i) => s * steps[i]!),
  };
}

function inferReshape(c: InferContext): TensorType[] {
  const { dtype, dims: from } = c.tensor(0);
  const dims = dimsAttribute(c, 'dims');
  if (dims.some((d) => typeof d === 'number' && d < 0)) c.fail(`dims ${formatDims(dims)} must not be negative`);
  if (isNumbers(from) && isNumbers(dims) && elementCount(from) !== elementCount(dims)) {
    c.fail(
      `${formatDims(from)} cannot become ${formatDims(dims)}: ${String(elementCount(from))} elements are not ${String(elementCount(dims))}`,
    );
  }
  if (from) c.agree(productOf(from), productOf(dims), 'numbers of elements before and after');
  return [tensorType(dtype, dims)];
}

function inferExpand(c: InferContext): TensorType[] {
  const { dtype } = c.tensor(0);
  const dims = dimsAttribute(c, 'dims');
  const from = c.dims(0);
  const lead = dims.length - from.length;
  const differ = (d: Dim, wanted: Dim): boolean =>
    typeof d === 'number' && typeof wanted === 'number' && d !== 1 && d !== wanted;
  if (lead < 0 || from.some((d, i) => differ(d, dims[lead + i]!)))
    c.fail(`${formatDims(from)} does not broadcast to ${formatDims(dims)}`);
  const target = c.attributes['target'] as readonly Dim[] | undefined;
  from.forEach((d, i) => {
    const what = `extents of axis ${String(i - from.length)} and its broadcast`;
    if (target) c.agreeOrOne(target[lead + i] ?? 1, d, what);
    else c.agreeWithin(dims[lead + i]!, d, what);
  });
  return [tensorType(dtype, dims)];
}

function inferSlice(c: InferContext): TensorType[] {
  const { dtype } = c.tensor(0);
  const from = c.dims(0);
  const [starts, sizes, steps] = ['starts', 'sizes', 'steps'].map((name) => dimsAttribute(c, name)) as [
    readonly Dim[],
    readonly Dim[],
    readonly Dim[],
  ];
  if ([starts, sizes, steps].some((a) => a.length !== from.length))
    c.fail(`starts, sizes and steps must have one entry per axis (${String(from.length)})`);
  from.forEach((extent, i) => {
    const [start, size, step] = [starts[i]!, sizes[i]!, steps[i]!];
    if (step === 0) c.fail(`step of axis ${String(i)} must not be 0`);
    if (typeof size === 'number' && size < 0)
      c.fail(`size of axis ${String(i)} must not be negative, is ${String(size)}`);
    if (
      typeof extent !== 'number' ||
      typeof start !== 'number' ||
      typeof size !== 'number' ||
      typeof step !== 'number' ||
      size === 0
    )
      return;
    const last = start + (size - 1) * step;
    if (Math.min(start, last) < 0 || Math.max(start, last) >= extent) {
      c.fail(`axis ${String(i)} of ${formatDims(from)} has no elements ${String(start)} to ${String(last)}`);
    }
  });
  return [tensorType(dtype, sizes)];
}

function inferConcat(c: InferContext): TensorType[] {
  const axis = c.attributes['axis'] as number;
  const { dtype } = c.tensor(0);
  const dims = [...c.dims(0)];
  if (!Number.isInteger(axis) || axis < 0 || axis >= dims.length)
    c.fail(`axis ${String(axis)} is out of range for rank ${String(dims.length)}`);
  for (let i = 1; i < c.inputs.length; i++) {
    const other = c.dims(i);
    if (c.tensor(i).dtype !== dtype) c.fail('all inputs must have the same dtype');
    if (other.length !== dims.length) c.fail('all inputs must have the same rank');
    dims.forEach((d, k) => {
      const o = other[k]!;
      if (k === axis) dims[k] = addDims(d, o);
      else {
        const agreed = c.agree(d, o, `extents of axis ${String(k)}`);
        if (typeof o === 'number') dims[k] = agreed;
      }
    });
  }
  return [tensorType(dtype, dims)];
}

function evaluateConcat(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0]!;
  const dims = [...first.dims];
  dims[axis] = parts.reduce((sum, p) => sum + p.dims[axis]!, 0);
  const strides = rowMajorStrides(dims);
  const out = allocateElements(first.dtype, elementCount(dims));
  let at = 0;
  for (const part of parts) {
    copyStrided(
      elementsOf(part),
      { offset: 0, strides: rowMajorStrides(part.dims) },
      out,
      { offset: at * strides[axis]!, strides },
      part.dims,
    );
    at += part.dims[axis]!;
  }
  return tensorOf(first.dtype, out, dims);
}

export const movementOperators: readonly Operator[] = [
  registerOperator({
    name: 'reshape',
    kind: 'movement',
    inputs: ['x'],
    attributes: { dims: undefined },
    infer: inferReshape,
    facts: (c) => [c.fact(0)],
    evaluate: (c) => {
      const x = c.tensor(0);
      const dims = evaluatedDims(c, 'dims');
      if (elementCount(dims) !== x.size || dims.some((d) => d < 0))
        c.fail(`[${x.dims.join(', ')}] cannot become [${dims.join(', ')}]`);
      return [x.reshape(dims)];
    },
  }),
  registerOperator({
    name: 'transpose',
    kind: 'movement',
    inputs: ['x'],
    attributes: { perm: undefined },
    infer: (c) => {
      const dims = c.dims(0);
      return [
        tensorType(
          c.tensor(0).dtype,
          permutation(c, dims.length).map((p) => dims[p]!),
        ),
      ];
    },
    facts: (c) => {
      const x = knownElements(c, 0);
      if (!x) return [undefined];
      const perm = permutation(c, x.dims.length);
      const strides = rowMajorStrides(x.dims);
      return [
        movedFact(
          x.elements,
          { offset: 0, strides: perm.map((p) => strides[p]!) },
          perm.map((p) => x.dims[p]!),
        ),
      ];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const perm = c.attributes['perm'] as readonly number[];
      const strides = rowMajorStrides(x.dims);
      return [
        gatherView(
          x,
          { offset: 0, strides: perm.map((p) => strides[p]!) },
          perm.map((p) => x.dims[p]!),
        ),
      ];
    },
  }),
  registerOperator({
    name: 'expand',
    kind: 'movement',
    inputs: ['x'],
    // `target`, of the rank of `dims`: the shape with which x broadcasts to `dims`, where that may have extents of 1.
    attributes: { dims: undefined, target: undefined },
    infer: inferExpand,
    facts: (c) => {
      const x = knownElements(c, 0);
      const dims = dimsAttribute(c, 'dims');
      return [
        x && isNumbers(dims)
          ? movedFact(x.elements, { offset: 0, strides: broadcastStrides(x.dims, dims) }, dims)
          : undefined,
      ];
    },
    evaluate: (c) => [expandTensor(c, c.tensor(0), evaluatedDims(c, 'dims'))],
  }),
  registerOperator({
    name: 'slice',
    kind: 'movement',
    inputs: ['x'],
    attributes: { starts: undefined, sizes: undefined, steps: undefined },
    infer: inferSlice,
    facts: (c) => {
      const x = knownElements(c, 0);
      const [starts, sizes, steps] = ['starts', 'sizes', 'steps'].map((name) => dimsAttribute(c, name));
      if (!x || !isNumbers(starts) || !isNumbers(sizes) || !isNumbers(steps)) return [undefined];
      return [movedFact(x.elements, sliceView(x.dims, starts, steps), sizes)];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const [starts, sizes, steps] = ['starts', 'sizes', 'steps'].map((name) => evaluatedDims(c, name)) as [
        number[],
        number[],
        number[],
      ];
      return [sliceTensor(c, x, starts, sizes, steps)];
    },
  }),
  registerOperator({
    name: 'concat',
    kind: 'movement',
    inputs: ['x…'],
    attributes: { axis: undefined },
    infer: inferConcat,
    facts: (c) => {
      const parts = c.inputs.map((_, i) => knownElements(c, i));
      const { dims } = inferConcat(c)[0]!;
      if (!isNumbers(dims) || !parts.every((p) => p !== undefined)) return [undefined];
      const out = new Array<Dim>(elementCount(dims)).fill(0);
      const axis = c.attributes['axis'] as number;
      const strides = rowMajorStrides(dims);
      let at = 0;
      for (const part of parts) {
        copyStrided(
          part.elements,
          { offset: 0, strides: rowMajorStrides(part.dims) },
          out,
          { offset: at * strides[axis]!, strides },
          part.dims,
        );
        at += part.dims[axis]!;
      }
      return [out];
    },
    evaluate: (c) => {
      const axis = c.attributes['axis'] as number;
      const parts = c.inputs.map((_, i) => c.tensor(i));
      const first = parts[0]!;
      for (const p of parts) {
        if (p.dims.length !== first.dims.length || p.dims.some((d, i) => i !== axis && d !== first.dims[i])) {
          c.fail(`[${first.dims.join(', ')}] and [${p.dims.join(', ')}] differ outside of axis ${String(axis)}`);
        }
      }
      return [evaluateConcat(parts, axis)];
    },
  }),
];

/** `x` broadcast to `dims`, which the caller has computed at run time. */
export function expandTensor(c: EvaluateContext, x: Tensor, dims: readonly number[]): Tensor {
  const lead = dims.length - x.dims.length;
  if (lead < 0 || x.dims.some((d, i) => d !== 1 && d !== dims[lead + i]))
    c.fail(`[${x.dims.join(', ')}] does not broadcast to [${dims.join(', ')}]`);
  return gatherView(x, { offset: 0, strides: broadcastStrides(x.dims, dims) }, dims);
}

/** Elements starts[i] + k·steps[i], k < sizes[i], along every axis i. */
export function sliceTensor(
  c: EvaluateContext,
  x: Tensor,
  starts: readonly number[],
  sizes: readonly number[],
  steps: readonly number[],
): Tensor {
  if (!sizes.includes(0)) {
    x.dims.forEach((extent, i) => {
      const last = starts[i]! + (sizes[i]! - 1) * steps[i]!;
      if (sizes[i]! < 0 || Math.min(starts[i]!, last) < 0 || Math.max(starts[i]!, last) >= extent) {
        c.fail(`axis ${String(i)} of [${x.dims.join(', ')}] has no elements ${String(starts[i])} to ${String(last)}`);
      }
    });
  }
  return gatherView(x, sliceView(x.dims, starts, steps), sizes);
}
