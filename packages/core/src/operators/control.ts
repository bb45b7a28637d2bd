/** Control flow: operators whose bodies are regions. Captures are explicit inputs, last in the node and in its regions. */

import { type Dim, dimBounds } from '../dim.js';
import { allocateElements, elementsOf, tensorOf } from '../elements.js';
import type { Value } from '../graph.js';
import {
  type EvaluateContext,
  type InferContext,
  type Operator,
  registerOperator,
  type RuntimeValue,
} from '../operator.js';
import { elementCount, Tensor } from '../tensor.js';
import { tensorType, type TensorType, type Type } from '../type.js';
import { joinTypes, outsideDims, outsideType } from './region-types.js';
import { copyStrided, rowMajorStrides } from './strided.js';

function attributeInts(c: { attributes: InferContext['attributes'] }, name: string): readonly number[] {
  return (c.attributes[name] as readonly number[] | undefined) ?? [];
}

/** A one-element bool or int64 tensor. */
function checkScalar(c: InferContext, i: number, dtype: 'bool' | 'int64'): void {
  if (!c.has(i)) return;
  const type = c.tensor(i);
  if (type.dtype !== dtype) c.fail(`input ${String(i)} must be ${dtype}`);
  if (type.dims?.every((d) => typeof d === 'number') && elementCount(type.dims) !== 1)
    c.fail(`input ${String(i)} must have one element`);
}

function truth(c: EvaluateContext, value: RuntimeValue | undefined): boolean {
  if (!(value instanceof Tensor) || value.dtype !== 'bool' || value.size !== 1)
    return c.fail('the condition must be one bool');
  return (value.data as Uint8Array)[0] !== 0;
}

function inferIf(c: InferContext): Type[] {
  checkScalar(c, 0, 'bool');
  const [yes, no] = c.regions;
  if (!yes || !no) return c.fail('two regions are needed');
  if (yes.outputs.length !== no.outputs.length)
    c.fail(`the branches have ${String(yes.outputs.length)} and ${String(no.outputs.length)} outputs`);
  for (const region of [yes, no]) {
    if (region.inputs.length !== c.inputs.length - 1) c.fail('every region must take all captures');
  }
  const known = [yes, no].map((region) => outsideDims(c, region));
  return yes.outputs.map((v, i) => {
    const fresh = (axis: number): Dim => c.fresh(`if.${String(i)}.${String(axis)}`);
    const other = no.outputs[i]!.type;
    const joined = joinTypes(v.type, other, fresh);
    if (!joined) return c.fail(`output ${String(i)} has different types in the two branches`);
    return outsideType(joined, (d) => known.every((k) => k(d)), fresh);
  });
}

/** True when the loop only ends by its trip count. */
function alwaysTrue(c: InferContext, value: Value | undefined, given: Value | undefined): boolean {
  const isTrue = (v: Value | undefined): boolean => {
    if (v?.node.op !== 'constant') return false;
    const data = v.node.attributes['data'] as { readonly tensor: Tensor };
    return data.tensor.dtype === 'bool' && (data.tensor.data as Uint8Array)[0] === 1;
  };
  const starts = !c.has(1) || isTrue(c.inputs[1]);
  return starts && (isTrue(value) || value === given);
}

function inferLoop(c: InferContext): Type[] {
  checkScalar(c, 0, 'int64');
  checkScalar(c, 1, 'bool');
  const [body] = c.regions;
  const carried = c.attributes['carried'] as number;
  const scans = c.attributes['scans'] as number;
  if (!body) return c.fail('a region is needed');
  const given = Math.max(2, c.inputs.length); // omitted trailing inputs are not counted
  if (body.inputs.length !== given)
    c.fail(`the body has ${String(body.inputs.length)} inputs for ${String(given)} of the loop`);
  if (body.outputs.length !== 1 + carried + scans)
    c.fail(`the body has ${String(body.outputs.length)} outputs, ${String(1 + carried + scans)} are needed`);
  const known = outsideDims(c, body);
  const max = c.has(0) ? c.fact(0)?.[0] : undefined;
  const exact = max !== undefined && alwaysTrue(c, body.outputs[0], body.inputs[1]);
  return body.outputs.slice(1).map((v, i) => {
    const fresh = (axis: number): Dim => c.fresh(`loop.${String(i)}.${String(axis)}`);
    if (i < carried) return carriedType(c, c.inputs[2 + i]!.type, body.inputs[2 + i]!.type, v.type, known, fresh, i);
    const element = v.type.kind === 'tensor' ? v.type : c.fail(`scan output ${String(i - carried)} must be a tensor`);
    const trips =
      exact && dimBounds(max).min >= 0
        ? max
        : c.fresh('loop.trips', max === undefined ? {} : { max: Math.max(0, dimBounds(max).max) });
    const outside = outsideType(element, known, (axis) => fresh(axis + 1)) as TensorType;
    return tensorType(element.dtype, outside.dims && [trips, ...outside.dims]);
  });
}

/** The value before the first and after any iteration: what initial value, body input and body output agree on. */
function carriedType(
  c: InferContext,
  initial: Type,
  formal: Type,
  result: Type,
  known: (d: Dim) => boolean,
  fresh: (axis: number) => Dim,
  i: number,
): Type {
  const joined = joinTypes(formal, result, fresh);
  const all = joined && joinTypes(initial, joined, fresh);
  if (!all) return c.fail(`carried value ${String(i)} changes its type`);
  return outsideType(all, known, fresh);
}

function evaluateLoop(c: EvaluateContext): RuntimeValue[] {
  const body = c.regions[0]!;
  const carried = c.attributes['carried'] as number;
  const scans = c.attributes['scans'] as number;
  const max = c.has(0) ? c.integers(0)[0]! : Infinity;
  let condition: RuntimeValue = c.inputs[1] ?? new Tensor('bool', [1], []);
  let state = c.inputs.slice(2, 2 + carried);
  const captures = c.inputs.slice(2 + carried);
  const collected: Tensor[][] = Array.from({ length: scans }, () => []);
  for (let i = 0; i < max && truth(c, condition); i++) {
    c.checkpoint();
    const results = c.run(body, [new Tensor('int64', [i], []), condition, ...state, ...captures]);
    condition = results[0]!;
    state = results.slice(1, 1 + carried);
    collected.forEach((list, k) => list.push(results[1 + carried + k] as Tensor));
  }
  const stacked = collected.map((list, k) => stack(c, list, 0, carried + k));
  return [...(state as RuntimeValue[]), ...stacked];
}

/** Elements one after the other along a new axis; without elements, what the output's type tells with 0 for the rest. */
function stack(c: EvaluateContext, elements: readonly Tensor[], axis: number, output: number): Tensor {
  const first = elements[0];
  const type = c.outputTypes[output] as TensorType;
  const rank = first ? first.dims.length + 1 : (type.dims?.length ?? 1);
  const at = axis < 0 ? axis + rank : axis;
  const told = type.dims?.toSpliced(at, 1).map((d) => (c.isKnown(d) ? c.dim(d) : 0));
  const inner = first?.dims ?? told ?? [];
  const dims = [...inner.slice(0, at), elements.length, ...inner.slice(at)];
  const out = allocateElements(first?.dtype ?? type.dtype, elementCount(dims));
  const strides = rowMajorStrides(dims);
  const step = strides[at]!;
  const to = strides.filter((_, i) => i !== at);
  elements.forEach((e, k) => {
    if (e.dims.join() !== inner.join())
      c.fail(`a scan output changes its shape: [${inner.join(', ')}] and [${e.dims.join(', ')}]`);
    copyStrided(
      elementsOf(e),
      { offset: 0, strides: rowMajorStrides(e.dims) },
      out,
      { offset: k * step, strides: to },
      e.dims,
    );
  });
  return tensorOf(first?.dtype ?? type.dtype, out, dims);
}

/** One element of `x` along an axis, without that axis. */
function takeAlong(x: Tensor, axis: number, index: number): Tensor {
  const dims = x.dims.filter((_, i) => i !== axis);
  const strides = rowMajorStrides(x.dims);
  const out = allocateElements(x.dtype, elementCount(dims));
  const from = { offset: index * strides[axis]!, strides: strides.filter((_, i) => i !== axis) };
  copyStrided(elementsOf(x), from, out, { offset: 0, strides: rowMajorStrides(dims) }, dims);
  return tensorOf(x.dtype, out, dims);
}

function axisOf(c: { fail(m: string): never }, axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  return at >= 0 && at < rank ? at : c.fail(`axis ${String(axis)} is out of range for rank ${String(rank)}`);
}

/** Type of the elements that one iteration of `scan` sees of its k-th scanned input. */
export function scannedElement(type: TensorType, axis: number): TensorType {
  if (type.dims === undefined) return type;
  const at = axis < 0 ? axis + type.dims.length : axis;
  return tensorType(
    type.dtype,
    type.dims.filter((_, i) => i !== at),
  );
}

function inferScan(c: InferContext): Type[] {
  const [body] = c.regions;
  const carried = c.attributes['carried'] as number;
  const scanned = c.attributes['numScanInputs'] as number;
  const scans = c.attributes['scans'] as number;
  if (!body) return c.fail('a region is needed');
  if (scanned < 1) c.fail('at least one input must be scanned');
  if (body.inputs.length !== c.inputs.length)
    c.fail(`the body has ${String(body.inputs.length)} inputs for ${String(c.inputs.length)} of the scan`);
  if (body.outputs.length !== carried + scans)
    c.fail(`the body has ${String(body.outputs.length)} outputs, ${String(carried + scans)} are needed`);
  const known = outsideDims(c, body);
  let length: Dim | undefined;
  for (let k = 0; k < scanned; k++) {
    const dims = c.dims(carried + k);
    const extent = dims[axisOf(c, attributeInts(c, 'scanInputAxes')[k] ?? 0, dims.length)]!;
    if (typeof length === 'number' && typeof extent === 'number' && extent !== length)
      c.fail(`scan inputs of ${String(length)} and ${String(extent)} elements`);
    length = typeof length === 'number' ? length : extent;
  }
  return body.outputs.map((v, i) => {
    const fresh = (axis: number): Dim => c.fresh(`scan.${String(i)}.${String(axis)}`);
    if (i < carried) return carriedType(c, c.inputs[i]!.type, body.inputs[i]!.type, v.type, known, fresh, i);
    const element = v.type.kind === 'tensor' ? v.type : c.fail(`scan output ${String(i - carried)} must be a tensor`);
    const { dims } = outsideType(element, known, fresh) as TensorType;
    if (!dims) return tensorType(element.dtype, undefined);
    const at = axisOf(c, attributeInts(c, 'scanOutputAxes')[i - carried] ?? 0, dims.length + 1);
    return tensorType(element.dtype, [...dims.slice(0, at), length!, ...dims.slice(at)]);
  });
}

function evaluateScan(c: EvaluateContext): RuntimeValue[] {
  const body = c.regions[0]!;
  const carried = c.attributes['carried'] as number;
  const scanned = c.attributes['numScanInputs'] as number;
  const scans = c.attributes['scans'] as number;
  let state = c.inputs.slice(0, carried);
  const captures = c.inputs.slice(carried + scanned);
  const whole = Array.from({ length: scanned }, (_, k) => c.tensor(carried + k));
  const axes = whole.map((t, k) => axisOf(c, attributeInts(c, 'scanInputAxes')[k] ?? 0, t.dims.length));
  const length = whole[0]!.dims[axes[0]!]!;
  if (whole.some((t, k) => t.dims[axes[k]!] !== length)) c.fail('the scanned inputs have different lengths');
  const collected: Tensor[][] = Array.from({ length: scans }, () => []);
  const backwards = attributeInts(c, 'scanInputDirections');
  for (let t = 0; t < length; t++) {
    c.checkpoint();
    const elements = whole.map((x, k) => takeAlong(x, axes[k]!, backwards[k] === 1 ? length - 1 - t : t));
    const results = c.run(body, [...state, ...elements, ...captures]);
    state = results.slice(0, carried);
    collected.forEach((list, k) => list.push(results[carried + k] as Tensor));
  }
  const stacked = collected.map((list, k) => {
    if (attributeInts(c, 'scanOutputDirections')[k] === 1) list.reverse();
    return stack(c, list, attributeInts(c, 'scanOutputAxes')[k] ?? 0, carried + k);
  });
  return [...(state as RuntimeValue[]), ...stacked];
}

export const controlOperators: readonly Operator[] = [
  registerOperator({
    name: 'if',
    kind: 'control',
    inputs: ['condition', 'captures…'],
    infer: inferIf,
    evaluate: (c) => c.run(c.regions[truth(c, c.inputs[0]) ? 0 : 1]!, c.inputs.slice(1)),
  }),
  registerOperator({
    name: 'loop',
    kind: 'control',
    inputs: ['max?', 'condition?', 'values…'],
    attributes: { carried: 0, scans: 0 },
    infer: inferLoop,
    evaluate: evaluateLoop,
  }),
  registerOperator({
    name: 'scan',
    kind: 'control',
    inputs: ['values…'],
    attributes: {
      carried: 0,
      numScanInputs: undefined,
      scans: 0,
      scanInputAxes: undefined,
      scanInputDirections: undefined,
      scanOutputAxes: undefined,
      scanOutputDirections: undefined,
    },
    infer: inferScan,
    evaluate: evaluateScan,
  }),
];
