/** Sequences: lists of tensors (or of sequences) whose length only the run knows. */

import type { Dim } from '../dim.js';
import { allocateElements, elementsOf, tensorOf } from '../elements.js';
import {
  type EvaluateContext,
  type InferContext,
  type Operator,
  registerOperator,
  type RuntimeValue,
  type SequenceValue,
} from '../operator.js';
import { elementCount, Tensor } from '../tensor.js';
import { type SequenceType, tensorType, type Type } from '../type.js';
import { gatherView } from './movement.js';
import { elementType, joinTypes, outsideDims, outsideType, wildcard } from './region-types.js';
import { copyStrided, rowMajorStrides } from './strided.js';

function sequenceType(c: InferContext, i: number): SequenceType {
  const type = c.inputs[i]?.type;
  if (type?.kind !== 'sequence') return c.fail(`input ${String(i)} must be a sequence`);
  return type;
}

function items(c: EvaluateContext, i: number): readonly RuntimeValue[] {
  const value = c.inputs[i];
  if (value === undefined || value instanceof Tensor || value.kind !== 'sequence')
    return c.fail(`input ${String(i)} must be a sequence`);
  return value.items;
}

function sequence(list: readonly RuntimeValue[]): SequenceValue {
  return { kind: 'sequence', items: list };
}

/** The element type that holds all of these. */
function joined(c: InferContext, types: readonly Type[]): Type {
  return types.reduce((a, b) => joinTypes(a, b, wildcard) ?? c.fail('all elements must have the same dtype'));
}

/** A position counted from the front; `extra` 1 allows the place behind the last. */
function position(c: EvaluateContext, i: number, length: number, extra: 0 | 1): number {
  const given = c.integers(i)[0]!;
  const at = given < 0 ? given + length : given;
  if (at < 0 || at >= length + extra)
    c.fail(`position ${String(given)} is out of range for ${String(length)} elements`);
  return at;
}

function inferConcat(c: InferContext): Type[] {
  const { element } = sequenceType(c, 0);
  if (element.kind !== 'tensor') return c.fail('the elements must be tensors');
  const axis = c.attributes['axis'] as number;
  if (element.dims === undefined) return [element];
  const rank = element.dims.length + (c.attributes['newAxis'] === 1 ? 1 : 0);
  const at = axis < 0 ? axis + rank : axis;
  if (at < 0 || at >= rank) c.fail(`axis ${String(axis)} is out of range for rank ${String(rank)}`);
  const fresh = (i: number): Dim => c.fresh(`concat.${String(i)}`);
  const own = element.dims.map((d, i) => (typeof d === 'number' ? d : fresh(i)));
  if (c.attributes['newAxis'] === 1)
    return [tensorType(element.dtype, [...own.slice(0, at), fresh(at), ...own.slice(at)])];
  return [
    tensorType(
      element.dtype,
      own.map((d, i) => (i === at ? fresh(i) : d)),
    ),
  ];
}

function evaluateConcat(c: EvaluateContext): Tensor {
  const parts = items(c, 0) as readonly Tensor[];
  const first = parts[0] ?? c.fail('an empty sequence cannot be concatenated');
  const stacking = c.attributes['newAxis'] === 1;
  const rank = first.dims.length + (stacking ? 1 : 0);
  const axis = c.attributes['axis'] as number;
  const at = axis < 0 ? axis + rank : axis;
  const shapes = parts.map((p) => (stacking ? [...p.dims.slice(0, at), 1, ...p.dims.slice(at)] : [...p.dims]));
  const dims = [...shapes[0]!];
  dims[at] = shapes.reduce((sum, s) => sum + s[at]!, 0);
  const strides = rowMajorStrides(dims);
  const out = allocateElements(first.dtype, elementCount(dims));
  let offset = 0;
  parts.forEach((p, k) => {
    const shape = shapes[k]!;
    if (shape.length !== rank || shape.some((d, i) => i !== at && d !== dims[i]))
      c.fail(`elements [${first.dims.join(', ')}] and [${p.dims.join(', ')}] do not fit`);
    copyStrided(
      elementsOf(p),
      { offset: 0, strides: rowMajorStrides(shape) },
      out,
      { offset: offset * strides[at]!, strides },
      shape,
    );
    offset += shape[at]!;
  });
  return tensorOf(first.dtype, out, dims);
}

function inferSplit(c: InferContext): Type[] {
  const { dtype, dims } = c.tensor(0);
  const axis = c.attributes['axis'] as number;
  if (dims === undefined) return [{ kind: 'sequence', element: tensorType(dtype, undefined) }];
  const at = axis < 0 ? axis + dims.length : axis;
  if (at < 0 || at >= dims.length) c.fail(`axis ${String(axis)} is out of range for rank ${String(dims.length)}`);
  const drop = !c.has(1) && c.attributes['keepdims'] === 0;
  const whole = !c.has(1);
  const element = dims.flatMap((d, i): Dim[] => (i !== at ? [d] : drop ? [] : [whole ? 1 : wildcard()]));
  return [{ kind: 'sequence', element: tensorType(dtype, element) }];
}

function evaluateSplit(c: EvaluateContext): SequenceValue {
  const x = c.tensor(0);
  const axis = c.attributes['axis'] as number;
  const at = axis < 0 ? axis + x.dims.length : axis;
  const extent = x.dims[at]!;
  const sizes = splitSizes(c, extent);
  const strides = rowMajorStrides(x.dims);
  let start = 0;
  return sequence(
    sizes.map((size) => {
      const dims = x.dims.map((d, i) => (i === at ? size : d));
      const part = gatherView(x, { offset: start * strides[at]!, strides }, dims);
      start += size;
      return !c.has(1) && c.attributes['keepdims'] === 0 ? part.reshape(dims.filter((_, i) => i !== at)) : part;
    }),
  );
}

function splitSizes(c: EvaluateContext, extent: number): number[] {
  if (!c.has(1)) return new Array<number>(extent).fill(1);
  const given = c.integers(1);
  if (c.tensor(1).dims.length > 0) {
    if (given.some((s) => s < 0) || given.reduce((a, b) => a + b, 0) !== extent)
      c.fail(`parts [${given.join(', ')}] do not add up to ${String(extent)}`);
    return given;
  }
  const size = given[0]!;
  if (size < 1) c.fail(`parts of ${String(size)} elements are impossible`);
  return Array.from({ length: Math.ceil(extent / size) }, (_, i) => Math.min(size, extent - i * size));
}

/** Which of sequenceMap's inputs are sequences; tensors go whole to every call of the body. */
function mapped(c: { inputs: readonly unknown[]; attributes: InferContext['attributes'] }): number {
  return c.attributes['numInputs'] as number;
}

function inferMap(c: InferContext): Type[] {
  const [body] = c.regions;
  if (!body) return c.fail('a region is needed');
  sequenceType(c, 0);
  if (body.inputs.length !== c.inputs.length)
    c.fail(`the body has ${String(body.inputs.length)} inputs for ${String(c.inputs.length)}`);
  const known = outsideDims(c, body);
  return body.outputs.map((v) => ({ kind: 'sequence', element: outsideType(v.type, known, wildcard) }));
}

function evaluateSequenceMap(c: EvaluateContext): RuntimeValue[] {
  const body = c.regions[0]!;
  const count = mapped(c);
  const { length } = items(c, 0);
  const results: RuntimeValue[][] = body.outputs.map(() => []);
  for (let i = 0; i < length; i++) {
    c.checkpoint();
    const args = c.inputs.map((value, k) => {
      if (k >= count || value === undefined || value instanceof Tensor || value.kind !== 'sequence') return value;
      return (
        value.items[i] ??
        c.fail(`input ${String(k)} has ${String(value.items.length)} elements, input 0 has ${String(length)}`)
      );
    });
    c.run(body, args).forEach((v, k) => results[k]!.push(v));
  }
  return results.map(sequence);
}

export const sequenceOperators: readonly Operator[] = [
  registerOperator({
    name: 'sequenceConstruct',
    kind: 'opaque',
    inputs: ['items…'],
    attributes: { element: undefined },
    infer: (c) => {
      const declared = c.attributes['element'] as Type | undefined;
      const types = c.inputs.map((v, i) => v?.type ?? c.fail(`input ${String(i)} is required`));
      if (types.length === 0)
        return [{ kind: 'sequence', element: declared ?? c.fail("an empty sequence needs the attribute 'element'") }];
      return [{ kind: 'sequence', element: joined(c, types) }];
    },
    evaluate: (c) => [sequence(c.inputs as readonly RuntimeValue[])],
  }),
  registerOperator({
    name: 'sequenceAt',
    kind: 'opaque',
    inputs: ['sequence', 'position'],
    infer: (c) => [elementType(sequenceType(c, 0).element, (axis) => c.fresh(`at.${String(axis)}`))],
    evaluate: (c) => {
      const list = items(c, 0);
      return [list[position(c, 1, list.length, 0)]!];
    },
  }),
  registerOperator({
    name: 'sequenceInsert',
    kind: 'opaque',
    inputs: ['sequence', 'item', 'position?'],
    infer: (c) => {
      const { element } = sequenceType(c, 0);
      return [{ kind: 'sequence', element: joined(c, [element, c.inputs[1]?.type ?? c.fail('input 1 is required')]) }];
    },
    evaluate: (c) => {
      const list = [...items(c, 0)];
      list.splice(c.has(2) ? position(c, 2, list.length, 1) : list.length, 0, c.inputs[1]!);
      return [sequence(list)];
    },
  }),
  registerOperator({
    name: 'sequenceErase',
    kind: 'opaque',
    inputs: ['sequence', 'position?'],
    infer: (c) => [sequenceType(c, 0)],
    evaluate: (c) => {
      const list = [...items(c, 0)];
      if (list.length === 0) c.fail('the sequence is empty');
      list.splice(c.has(1) ? position(c, 1, list.length, 0) : list.length - 1, 1);
      return [sequence(list)];
    },
  }),
  registerOperator({
    name: 'sequenceLength',
    kind: 'opaque',
    inputs: ['sequence'],
    infer: (c) => {
      sequenceType(c, 0);
      return [tensorType('int64', [])];
    },
    evaluate: (c) => [new Tensor('int64', [items(c, 0).length], [])],
  }),
  registerOperator({
    name: 'splitToSequence',
    kind: 'opaque',
    inputs: ['x', 'split?'],
    attributes: { axis: 0, keepdims: 1 },
    infer: inferSplit,
    evaluate: (c) => [evaluateSplit(c)],
  }),
  registerOperator({
    name: 'concatFromSequence',
    kind: 'opaque',
    inputs: ['sequence'],
    attributes: { axis: undefined, newAxis: 0 },
    infer: inferConcat,
    evaluate: (c) => [evaluateConcat(c)],
  }),
  registerOperator({
    name: 'sequenceMap',
    kind: 'control',
    inputs: ['sequence', 'more…'],
    attributes: { numInputs: undefined },
    infer: inferMap,
    evaluate: evaluateSequenceMap,
  }),
];

/** What the body of a sequenceMap sees of an input. */
export function mappedElement(type: Type): Type {
  return type.kind === 'sequence' ? elementType(type.element, wildcard) : type;
}
