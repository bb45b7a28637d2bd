/** Sequence operators. A sequence whose items are known at import is only a list here: taking items out of it costs nothing. */

import { addDims, type Dim, type DType, mappedElement, tensorType, type Type, type Value } from '@tensorwright/core';
import { sliced } from './movement.js';
import { reshaped } from './shape.js';
import type { ImportContext, ImporterTable } from './importer.js';

/** The items of a sequence that was put together from known ones. */
function knownItems(v: Value): readonly Value[] | undefined {
  return v.node.op === 'sequenceConstruct' ? (v.node.inputs as readonly Value[]) : undefined;
}

function construct(c: ImportContext, items: readonly Value[], element?: Type): Value {
  return c.op('sequenceConstruct', items, items.length === 0 ? { element } : {});
}

function elementOf(c: ImportContext, v: Value): Type {
  return v.type.kind === 'sequence' ? v.type.element : c.fail(`a sequence is needed, found a ${v.type.kind}`);
}

/** A position known at import, counted from the front. */
function knownPosition(c: ImportContext, input: number, length: number, extra: 0 | 1): number | undefined {
  const given = c.fact(c.input(input))?.[0];
  if (typeof given !== 'number') return undefined;
  const at = given < 0 ? given + length : given;
  return at >= 0 && at < length + extra ? at : c.fail(`position ${given} is out of range for ${length} elements`);
}

function at(c: ImportContext): Value {
  const sequence = c.input(0);
  const items = knownItems(sequence);
  const position = items && knownPosition(c, 1, items.length, 0);
  return position === undefined ? c.op('sequenceAt', [sequence, c.input(1)]) : items![position]!;
}

function insert(c: ImportContext): Value {
  const [sequence, item] = [c.input(0), c.input(1)];
  const items = knownItems(sequence);
  const position = items && (c.has(2) ? knownPosition(c, 2, items.length, 1) : items.length);
  if (position === undefined) return c.op('sequenceInsert', [sequence, item, c.optional(2)]);
  return construct(c, items!.toSpliced(position, 0, item));
}

function erase(c: ImportContext): Value {
  const sequence = c.input(0);
  const items = knownItems(sequence);
  if (items?.length === 0) c.fail('the sequence is empty');
  const position = items && (c.has(1) ? knownPosition(c, 1, items.length, 0) : items.length - 1);
  if (position === undefined) return c.op('sequenceErase', [sequence, c.optional(1)]);
  return construct(c, items!.toSpliced(position, 1), elementOf(c, sequence));
}

function empty(c: ImportContext): Value {
  const dtype: DType = c.dtype('dtype') ?? 'float32';
  return construct(c, [], tensorType(dtype, undefined));
}

function length(c: ImportContext): Value {
  const items = knownItems(c.input(0));
  return items ? c.scalar(items.length, 'int64') : c.op('sequenceLength', [c.input(0)]);
}

/** Part sizes, when both the extent and the split are known. */
function partSizes(c: ImportContext, extent: Dim): readonly Dim[] | undefined {
  const split = c.optional(1);
  if (!split) return typeof extent === 'number' ? new Array<number>(extent).fill(1) : undefined;
  const fact = c.fact(split);
  if (!fact) return undefined;
  if (c.rank(split) > 0) return fact;
  const size = fact[0]!;
  if (typeof size !== 'number' || typeof extent !== 'number') return undefined;
  if (size < 1) c.fail(`parts of ${size} elements are impossible`);
  return Array.from({ length: Math.ceil(extent / size) }, (_, i) => Math.min(size, extent - i * size));
}

/** Longer known sequences stay one value. */
const maxKnownItems = 1024;

function split(c: ImportContext): Value {
  const x = c.input(0);
  const keepdims = c.int('keepdims', 1);
  const given = c.int('axis', 0);
  const { dims } = c.type(x);
  const sizes = dims && partSizes(c, dims[c.axis(given, dims.length)]!);
  if (!dims || !sizes || sizes.length === 0 || sizes.length > maxKnownItems)
    return c.op('splitToSequence', [x, c.optional(1)], { axis: given, keepdims });
  const axis = c.axis(given, dims.length);
  let start: Dim = 0;
  return construct(
    c,
    sizes.map((size) => {
      const part = sliced(c, x, [{ axis, start, size, step: 1 }]);
      start = addDims(start, size);
      if (c.has(1) || keepdims !== 0) return part;
      return reshaped(
        c,
        part,
        c.dimsOf(part).filter((_, i) => i !== axis),
      );
    }),
  );
}

function concat(c: ImportContext): Value {
  const sequence = c.input(0);
  const axis = c.int('axis', 0);
  const newAxis = c.int('new_axis', 0);
  const items = knownItems(sequence);
  if (!items || items.length === 0 || items.some((v) => c.type(v).dims === undefined))
    return c.op('concatFromSequence', [sequence], { axis, newAxis });
  const at = c.axis(axis, c.rank(items[0]!) + newAxis);
  const parts = newAxis === 0 ? items : items.map((v) => reshaped(c, v, c.dimsOf(v).toSpliced(at, 0, 1)));
  return parts.length === 1 ? parts[0]! : c.op('concat', parts, { axis: at });
}

function map(c: ImportContext): readonly Value[] {
  const inputs = c.inputs();
  elementOf(c, inputs[0]!);
  const lists = inputs.map((v) => (v.type.kind === 'sequence' ? knownItems(v) : []));
  const count = lists[0]?.length ?? 0;
  if (lists.every((l) => l !== undefined) && count > 0 && count <= maxKnownItems) {
    const results = Array.from({ length: count }, (_, i) =>
      c.inline(
        'body',
        inputs.map((v, k) =>
          v.type.kind !== 'sequence'
            ? v
            : (lists[k]![i] ?? c.fail(`input ${k} has ${lists[k]!.length} elements, input 0 has ${count}`)),
        ),
      ),
    );
    return results[0]!.map((_, k) =>
      construct(
        c,
        results.map((r) => r[k]!),
      ),
    );
  }
  const region = c.region(
    'body',
    inputs.map((v) => mappedElement(v.type)),
  );
  return c.node('sequenceMap', [...inputs, ...region.captures], { numInputs: inputs.length }, [region.graph]);
}

export const sequenceImporters: ImporterTable = {
  SequenceConstruct: (c) => construct(c, c.inputs()),
  SequenceEmpty: empty,
  SequenceAt: at,
  SequenceInsert: insert,
  SequenceErase: erase,
  SequenceLength: length,
  SplitToSequence: split,
  ConcatFromSequence: concat,
  SequenceMap: map,
};
