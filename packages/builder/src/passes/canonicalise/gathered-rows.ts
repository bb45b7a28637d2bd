/**
 * Rows of one tensor in another order, as a table of rows: what cyclic shifts, windows and merged patches are made of
 * from slices, concats and transposes, each of which would be copied for itself.
 */

import {
  constantOf,
  type Dim,
  elementCount,
  type Node,
  provablyEqual,
  readNumbers,
  rowMajorStrides,
  type Rule,
  Tensor,
  type Value,
} from '@tensorwright/core';
import { dimsOf, sameDims, unaryExample } from '../rules.js';
import { slice } from './slices.js';

/** Elements of a row from which on it is worth an index. */
const leastRow = 8;
/** Of a table: making one keeps everybody else waiting, a millisecond for this many. */
const mostRows = 2 ** 17;

/** Rows of the source, by the axes of a value but for the first one, along which all are alike; a row counts as one. */
interface RowTable {
  readonly dims: readonly number[];
  readonly rows: Int32Array;
}

export const gatheredRows: Rule = {
  name: 'concat(slice(x), …), transpose(gather(x)) … ⇒ gather(x, rows) where rows stay whole',
  roots: ['concat', 'slice', 'transpose', 'gather'],
  apply(node, { builder, uses }) {
    const out = node.outputs[0]!;
    const found = movedWithin(node, uses);
    const from = dimsOf(found?.source);
    const to = dimsOf(out);
    if (!found || !from || !to) return undefined;
    const row = from.at(-1);
    if (typeof row !== 'number' || row < leastRow) return undefined;
    const single = tableOf(out, found.source, row, new Map());
    if (!single) return undefined;
    const count = elementCount(wholeRows(from, row)!);
    const { table, together } = longestRows(single, count);
    const rows = builder.op('reshape', [found.source], { dims: [from[0]!, count / together, row * together] });
    const indices = builder.constant(new Tensor('int32', table.rows, table.dims));
    const gathered = builder.op('gather', [rows, indices], { axis: 1 });
    return sameDims(dimsOf(gathered), to) ? gathered : builder.op('reshape', [gathered], { dims: to });
  },
  example: (b) =>
    unaryExample(b, [2, 6, 8], (x) => {
      const part = (start: number, size: number): Value => slice(b, x, new Map([[1, { start, size, step: 1 }]]));
      const shifted = b.op('concat', [part(2, 4), part(0, 2)], { axis: 1 });
      return b.op('transpose', [b.op('reshape', [shifted], { dims: [2, 2, 3, 8] })], { perm: [0, 2, 1, 3] });
    }),
};

/** What the movements that end in `node` move, where it is one value and they are worth a table of rows. */
function movedWithin(node: Node, uses: (v: Value) => number): { readonly source: Value } | undefined {
  const readers = new Map<Value, number>();
  const sources = new Set<Value>();
  const queue = [node];
  const counts = new Map<string, number>();
  for (let at = queue.pop(); at; at = queue.pop()) {
    counts.set(at.op, (counts.get(at.op) ?? 0) + 1);
    for (const v of at.op === 'gather' ? at.inputs.slice(0, 1) : at.inputs) {
      const count = (readers.get(v!) ?? 0) + 1;
      readers.set(v!, count);
      sources.add(v!);
      if (count !== uses(v!) || !movesRows(v!.node)) continue;
      sources.delete(v!);
      queue.push(v!.node);
    }
  }
  const number = (op: string): number => counts.get(op) ?? 0;
  const others = number('gather') - 1 + number('transpose') + number('slice');
  const copies = number('concat') > 0 || (number('gather') > 0 && others > 0);
  const [source] = sources;
  return copies && sources.size === 1 && movesRows(node) && source!.node.op !== 'constant'
    ? { source: source! }
    : undefined;
}

/** Movements of rows that leave the first axis as it is. */
function movesRows(node: Node): boolean {
  const [from, to] = [dimsOf(node.inputs[0]), dimsOf(node.outputs[0])];
  if (!from || !to || from.length < 2 || to.length < 2) return false;
  const last = from.length - 1;
  switch (node.op) {
    case 'reshape':
      return provablyEqual(from[0]!, to[0]!);
    case 'transpose': {
      const perm = node.attributes['perm'] as readonly number[];
      return perm[0] === 0 && perm[last] === last;
    }
    case 'slice':
      return (
        (node.attributes['starts'] as readonly Dim[])[0] === 0 &&
        (node.attributes['steps'] as readonly Dim[])[0] === 1 &&
        provablyEqual(from[0]!, to[0]!)
      );
    case 'concat':
      return positive(node.attributes['axis'] as number, from.length) > 0;
    case 'gather': {
      const axis = positive(node.attributes['axis'] as number, from.length);
      return axis > 0 && axis < last && constantOf(node.inputs[1]) !== undefined;
    }
    default:
      return false;
  }
}

/** Extents but for the first, the last one in rows; undefined where some are not known or cut rows. */
function wholeRows(dims: readonly Dim[], row: number): number[] | undefined {
  const known = dims.slice(1);
  if (!known.every((d): d is number => typeof d === 'number') || known.at(-1)! % row !== 0) return undefined;
  return [...known.slice(0, -1), known.at(-1)! / row];
}

function tableOf(v: Value, source: Value, row: number, done: Map<Value, RowTable | undefined>): RowTable | undefined {
  if (done.has(v)) return done.get(v);
  const dims = wholeRows(dimsOf(v)!, row);
  const table = dims && elementCount(dims) <= mostRows ? movedTable(v, dims, source, row, done) : undefined;
  done.set(v, table);
  return table;
}

function movedTable(
  v: Value,
  dims: readonly number[],
  source: Value,
  row: number,
  done: Map<Value, RowTable | undefined>,
): RowTable | undefined {
  if (v === source) return { dims, rows: Int32Array.from({ length: elementCount(dims) }, (_, i) => i) };
  const { op, attributes, inputs } = v.node;
  const operands = (op === 'gather' ? inputs.slice(0, 1) : inputs).map((u) => tableOf(u!, source, row, done));
  const [from] = operands;
  if (!operands.every((t): t is RowTable => t !== undefined) || !from) return undefined;
  switch (op) {
    case 'reshape':
      return { dims, rows: from.rows };
    case 'transpose': {
      const strides = rowMajorStrides(from.dims);
      const perm = attributes['perm'] as readonly number[];
      return picked(
        from,
        dims,
        perm.slice(1).map((p) => (i) => i * strides[p - 1]!),
      );
    }
    case 'slice': {
      const units = dims.map((_, axis) => (axis === dims.length - 1 ? row : 1));
      const starts = (attributes['starts'] as readonly Dim[]).slice(1).map((d, axis) => Number(d) / units[axis]!);
      const steps = (attributes['steps'] as readonly Dim[]).slice(1);
      const whole = steps.at(-1) === 1 && starts.every((s) => Number.isInteger(s)) && steps.every(isNumber);
      const strides = rowMajorStrides(from.dims);
      return whole
        ? picked(
            from,
            dims,
            strides.map((s, axis) => (i) => (starts[axis]! + i * steps[axis]!) * s),
          )
        : undefined;
    }
    case 'concat':
      return joined(operands, dims, positive(attributes['axis'] as number, dims.length + 1) - 1);
    default: {
      const axis = positive(attributes['axis'] as number, from.dims.length + 1) - 1;
      return chosen(from, dims, axis, readNumbers(constantOf(inputs[1])!));
    }
  }
}

/** The same with neighbours that stay neighbours as one row, `together` of `count` rows of the source. */
function longestRows(single: RowTable, count: number): { readonly table: RowTable; readonly together: number } {
  let { dims, rows } = single;
  let together = 1;
  for (;;) {
    const length = dims.at(-1);
    if (length === undefined || length === 0 || (count / together) % length !== 0) break;
    const isRun = rows.every((r, i) => (i % length === 0 ? r % length === 0 : r === rows[i - 1]! + 1));
    if (!isRun) break;
    rows = rows.filter((_, i) => i % length === 0).map((r) => r / length);
    dims = dims.slice(0, -1);
    together *= length;
  }
  return { table: { dims, rows }, together };
}

/** The rows at these offsets, the sums of each axis' own. */
function picked(from: RowTable, dims: readonly number[], offsetOn: readonly ((i: number) => number)[]): RowTable {
  let offsets = Int32Array.of(0);
  dims.forEach((extent, axis) => {
    const own = Int32Array.from({ length: extent }, (_, i) => offsetOn[axis]!(i));
    const sums = new Int32Array(offsets.length * extent);
    offsets.forEach((offset, o) => {
      for (let i = 0; i < extent; i++) sums[o * extent + i] = offset + own[i]!;
    });
    offsets = sums;
  });
  return { dims, rows: offsets.map((o) => from.rows[o]!) };
}

function joined(parts: readonly RowTable[], dims: readonly number[], axis: number): RowTable {
  const outer = elementCount(dims.slice(0, axis));
  const rows = new Int32Array(elementCount(dims));
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const part of parts) {
      const length = part.rows.length / outer;
      rows.set(part.rows.subarray(o * length, (o + 1) * length), at);
      at += length;
    }
  return { dims, rows };
}

function chosen(
  from: RowTable,
  dims: readonly number[],
  axis: number,
  indices: ArrayLike<number>,
): RowTable | undefined {
  const extent = from.dims[axis]!;
  const inner = elementCount(from.dims.slice(axis + 1));
  const outer = elementCount(from.dims.slice(0, axis));
  const places = Array.from(indices, (index) => positive(index, extent));
  if (places.some((i) => i < 0 || i >= extent)) return undefined;
  const rows = new Int32Array(outer * places.length * inner);
  for (let o = 0; o < outer; o++)
    places.forEach((i, k) => {
      const first = (o * extent + i) * inner;
      rows.set(from.rows.subarray(first, first + inner), (o * places.length + k) * inner);
    });
  return { dims, rows };
}

function positive(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

function isNumber(d: Dim): d is number {
  return typeof d === 'number';
}
