/**
 * Rows and columns: the iteration space of kernels that work along some axes of a tensor. Columns are the elements that
 * belong together (reduced, normalized), rows what is left. An operand's offset is a function of the row plus a function
 * of the column; kernels read and write vectors of neighbours along one of the two.
 */

import {
  type Dim,
  dimBounds,
  type MemoryView,
  minDims,
  mulDims,
  productOf,
  provablyDivisible,
  provablyEqual,
  subDims,
} from '@tensorwright/core';
import type { Arguments } from '../launch/arguments.js';

/** How an operand lies in the space. */
export interface LaneOperand {
  /** Prefix of the generated functions. */
  readonly name: string;
  /** C++ expression of the pointer to its first element. */
  readonly pointer: string;
  readonly type: string;
  readonly bytes: number;
  readonly offset: Dim;
  /** For each axis of the space. */
  readonly strides: readonly Dim[];
}

export interface LaneSpace {
  readonly extents: readonly Dim[];
  /** Axes in the order of iteration, outermost first. */
  readonly rowAxes: readonly number[];
  readonly columnAxes: readonly number[];
  readonly rows: Dim;
  readonly columns: Dim;
  /** Where vectors lie. */
  readonly along: 'rows' | 'columns';
  /** Elements of a vector, a power of two. */
  readonly width: number;
  readonly index: 'i32' | 'i64';
}

interface Run {
  readonly extent: Dim;
  readonly stride: Dim;
}

type Axes = Pick<LaneSpace, 'extents' | 'rowAxes' | 'columnAxes'>;

/**
 * The space over these axes, iterated in the order in which `main` lies. `operands`: all, with `main` among them.
 * @param mayReorder whether several column axes may be walked in another order than theirs
 */
export function laneSpace(
  extents: readonly Dim[],
  isColumn: (axis: number) => boolean,
  main: LaneOperand,
  operands: readonly LaneOperand[],
  along?: 'rows' | 'columns',
): LaneSpace {
  const size = (axis: number): number => Math.abs(dimBounds(main.strides[axis]!).max);
  const ordered = extents.map((_, axis) => axis).sort((a, b) => size(b) - size(a) || a - b);
  const axes: Axes = {
    extents,
    rowAxes: ordered.filter((a) => !isColumn(a)),
    columnAxes: ordered.filter(isColumn),
  };
  const rows = productOf(axes.rowAxes.map((a) => extents[a]!));
  const columns = productOf(axes.columnAxes.map((a) => extents[a]!));
  const direction = along ?? bestDirection(axes, main, rows);
  let width = Math.max(1, 16 / main.bytes);
  while (width > 1 && accessOf(axes, direction, width, main) !== 'vector') width /= 2;
  return { ...axes, rows, columns, along: direction, width, index: indexOf(extents, rows, columns, operands) };
}

function bestDirection(axes: Axes, main: LaneOperand, rows: Dim): 'rows' | 'columns' {
  const innermost = (list: readonly number[]): Dim | undefined => runsOf(axes.extents, list, main).at(-1)?.stride;
  if (innermost(axes.columnAxes) === 1 || innermost(axes.columnAxes) === undefined) return 'columns';
  return innermost(axes.rowAxes) === 1 || dimBounds(rows).max >= 32 ? 'rows' : 'columns';
}

function indexOf(
  extents: readonly Dim[],
  rows: Dim,
  columns: Dim,
  operands: readonly LaneOperand[],
): LaneSpace['index'] {
  // Kernels step past the end by less than this before they compare.
  const slack = 2 ** 20;
  let span = dimBounds(mulDims(rows, columns)).max;
  for (const { strides } of operands) {
    const reach = extents.reduce<number>((sum, extent, i) => {
      const { min, max } = dimBounds(mulDims(extent, strides[i]!));
      return sum + Math.max(Math.abs(min), Math.abs(max));
    }, 0);
    span = Math.max(span, reach);
  }
  return span + slack < 2 ** 31 ? 'i32' : 'i64';
}

/** The operand's steps through these axes, outermost first; neighbours that strides can merge are one. */
function runsOf(extents: readonly Dim[], axes: readonly number[], operand: LaneOperand): Run[] {
  const runs: Run[] = [];
  for (const axis of axes) {
    const extent = extents[axis]!;
    const stride = operand.strides[axis]!;
    if (extent === 1) continue;
    const last = runs.at(-1);
    if (last && provablyEqual(last.stride, mulDims(stride, extent)))
      runs[runs.length - 1] = { extent: mulDims(last.extent, extent), stride };
    else runs.push({ extent, stride });
  }
  return runs;
}

/** How `width` neighbours of an operand are had: as one vector, as one element for all, or one by one. */
function accessOf(
  axes: Axes,
  along: 'rows' | 'columns',
  width: number,
  operand: LaneOperand,
): 'vector' | 'same' | 'each' {
  if (width === 1) return 'vector';
  const [inner, outer] = along === 'rows' ? [axes.rowAxes, axes.columnAxes] : [axes.columnAxes, axes.rowAxes];
  const runs = runsOf(axes.extents, inner, operand);
  const last = runs.pop();
  if (!last || !provablyDivisible(last.extent, width)) return 'each';
  if (last.stride === 0) return 'same';
  const others = [...runs, ...runsOf(axes.extents, outer, operand)];
  const aligned = [operand.offset, ...others.map((r) => r.stride)].every((d) => provablyDivisible(d, width));
  return last.stride === 1 && aligned ? 'vector' : 'each';
}

/** Strides of a view over the axes `map` gives for its own (right-aligned to `dims`), 0 where it is broadcast. */
export function broadcastStrides(view: MemoryView, dims: readonly Dim[]): Dim[] {
  const lead = dims.length - view.dims.length;
  return dims.map((d, axis) => {
    const extent = view.dims[axis - lead];
    if (axis < lead || extent === undefined || extent === 1) return 0;
    const stride = view.strides[axis - lead]!;
    // An extent that may turn out to be 1 is broadcast then.
    return provablyEqual(extent, d) ? stride : mulDims(stride, minDims(subDims(extent, 1), 1));
  });
}

/** Functions `name_row(i)` and `name_column(i)`: the two parts of the operand's offset. */
export function printOffsets(space: LaneSpace, operand: LaneOperand, args: Arguments): string {
  return (
    offsetFunction(`${operand.name}_row`, runsOf(space.extents, space.rowAxes, operand), space, args) +
    offsetFunction(`${operand.name}_column`, runsOf(space.extents, space.columnAxes, operand), space, args)
  );
}

function offsetFunction(name: string, runs: readonly Run[], space: LaneSpace, args: Arguments): string {
  const lines: string[] = [];
  const unsigned = space.index === 'i32' ? 'u32' : 'u64';
  let last = 0;
  while (last < runs.length && runs[last]!.stride === 0) last++;
  for (let at = runs.length - 1; at >= last; at--) {
    const { extent, stride } = runs[at]!;
    const step = stride === 1 ? '' : ` * ${args.dim(stride)}`;
    if (at === 0) {
      lines.push(`at += i${step};`);
      continue;
    }
    lines.push(
      `next = static_cast<Index>(static_cast<${unsigned}>(i) / static_cast<${unsigned}>(${args.dim(extent)}));`,
    );
    if (stride !== 0) lines.push(`at += (i - next * ${args.dim(extent)})${step};`);
    lines.push('i = next;');
  }
  if (lines.length === 0) return `  TW_DEVICE Index ${name}(Index) const { return 0; }\n`;
  const next = lines.some((l) => l.startsWith('next')) ? ', next' : '';
  const body = ['Index at = 0' + next + ';', ...lines, 'return at;'].map((l) => `    ${l}\n`).join('');
  return `  TW_DEVICE Index ${name}(Index i) const {\n${body}  }\n`;
}

/** A function `Vec<T, V> load(row, column)` of an operand whose offsets are printed. */
export function printLoad(space: LaneSpace, operand: LaneOperand, name = `${operand.name}_load`): string {
  const { pointer, type } = operand;
  const head = `  TW_DEVICE Vec<${type}, V> ${name}(Index row, Index column) const {\n`;
  const at = `${pointer} + ${operand.name}_row(row) + ${operand.name}_column(column)`;
  switch (accessOf(space, space.along, space.width, operand)) {
    case 'vector':
      return `${head}    return load_vec<V>(${at});\n  }\n`;
    case 'same':
      return `${head}    Vec<${type}, V> all;\n    const ${type} one = *(${at});\n${each('all.v[v] = one;')}    return all;\n  }\n`;
    case 'each':
      return `${head}    Vec<${type}, V> all;\n${each(`all.v[v] = ${element(space, operand)};`)}    return all;\n  }\n`;
  }
}

/**
 * Statements that store V elements at (row, column).
 * @param statements what computes element v
 * @param result C++ of its value, of any type
 */
export function printStore(space: LaneSpace, operand: LaneOperand, statements: string, result: string): string {
  const { name, pointer, type } = operand;
  const store =
    accessOf(space, space.along, space.width, operand) === 'vector'
      ? `    store_vec(${pointer} + ${name}_row(row) + ${name}_column(column), packed);\n`
      : each(`${element(space, operand)} = packed.v[v];`);
  return `    Vec<${type}, V> packed;\n${each(`{\n${statements}\n      packed.v[v] = convert<${type}>(${result});\n    }`)}${store}`;
}

function element(space: LaneSpace, { name, pointer }: LaneOperand): string {
  const [row, column] = space.along === 'rows' ? ['row + v', 'column'] : ['row', 'column + v'];
  return `${pointer}[${name}_row(${row}) + ${name}_column(${column})]`;
}

function each(statement: string): string {
  return `#pragma unroll\n    for (int v = 0; v < V; ++v) ${statement}\n`;
}
