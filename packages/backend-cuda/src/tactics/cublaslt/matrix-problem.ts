/** A contraction as one matrix product with one stride from row to row, from column to column and from matrix to matrix. */

import {
  type Dim,
  type DType,
  type GroupView,
  type MemoryView,
  mulDims,
  provablyEqual,
  provablyLessOrEqual,
} from '@tensorwright/core';
import { broadcastView } from '../../print/loop-space.js';
import { alignmentOf } from '../alignment.js';
import { geometryOf, pixelAxes } from '../contraction/conv-problem.js';
import { dotProblem } from '../contraction/dot-problem.js';
import type { Problem, Role } from '../contraction/problem.js';

/** Views of the group's inputs, by index. */
export type ViewOf = (input: number) => MemoryView;

/** undefined for what is no plain product: windows, strides, pads, groups. */
export function plainProblem(group: GroupView, view?: ViewOf): Problem | undefined {
  if (group.anchor!.op === 'dot') return dotProblem(group, view && group.anchorInputs.map((i) => view(i!)));
  return group.anchor!.op === 'conv' ? pointwiseProblem(group) : undefined;
}

/** A convolution of one tap: every pixel is a row. */
function pointwiseProblem(group: GroupView): Problem | undefined {
  const g = geometryOf(group);
  const plain = [...g.kernel, ...g.strides, g.group].every((n) => n === 1) && g.pads.every((p) => p === 0);
  if (!plain) return undefined;
  const [x, w, bias] = group.anchorInputs;
  const dtype = (i: number): DType => (group.anchor!.inputs[i]!.type as { dtype: DType }).dtype;
  const columns = g.w[0] as number;
  return {
    batch: [1],
    rows: [g.out[0]!, ...g.out.slice(2)],
    columns: [columns],
    depth: [g.w[1]!],
    left: {
      input: x!,
      dtype: dtype(0),
      axes: ({ strides: [image, channel, ...pixel] }) => ({
        batch: [0],
        own: [image!, ...pixel],
        depth: [channel!],
        windows: [],
      }),
    },
    right: {
      input: w!,
      dtype: dtype(1),
      axes: ({ strides: [column, channel] }) => ({ batch: [0], own: [column!], depth: [channel!], windows: [] }),
    },
    output: pixelAxes(g.kernel.length, columns),
    ...(bias !== undefined && { bias: { input: bias, axis: 1 } }),
  };
}

/** A matrix by columns, as the library sees it. Numbers are elements. */
export interface Matrix {
  readonly ld: Dim;
  /** From one matrix of the batch to the next. */
  readonly step: Dim;
  readonly transposed: boolean;
  /** What the address of its first element is a multiple of, in bytes. */
  readonly alignment: number;
}

/** D = op(A) · op(B), where D is the transpose of our result, A the right operand and B the left one. */
export interface MatrixProduct {
  /** Of D. */
  readonly rows: Dim;
  readonly columns: Dim;
  readonly depth: Dim;
  readonly batch: Dim;
  readonly a: Matrix;
  readonly b: Matrix;
  /** Where D goes. */
  readonly d: Matrix;
  /** Of a matrix that is added; where there is none, D's. */
  readonly c: Matrix;
}

export interface Sides {
  /** Inputs of the group; undefined where there are none. */
  readonly bias: number | undefined;
  readonly residual: number | undefined;
}

/** undefined where the operands lie otherwise. */
export function matrixProduct(
  problem: Problem,
  { bias, residual }: Sides,
  view: ViewOf,
  output: MemoryView,
  resultDType: DType,
): MatrixProduct | undefined {
  const leftView = view(problem.left.input);
  const rightView = view(problem.right.input);
  const left = problem.left.axes(leftView);
  const right = problem.right.axes(rightView);
  const added = residual === undefined ? output : broadcastView(view(residual), output.dims);
  const ofResult = (role: Role): Dim[][] => [output, added].map((v) => stridesOfRole(problem, role, v));
  const batch = merge(problem.batch, [left.batch, right.batch, ...ofResult('batch')]);
  const rows = merge(problem.rows, [left.own, ...ofResult('rows')]);
  const columns = merge(problem.columns, [right.own, ...ofResult('columns'), biasStrides(problem, bias, view, output)]);
  const depth = merge(problem.depth, [left.depth, right.depth]);
  if (!batch || !rows || !columns || !depth) return undefined;
  if (bias !== undefined && columns.extent !== 1 && columns.strides[3] !== 1) return undefined;
  const matrix = (down: Run, across: Run, step: number, v: MemoryView, dtype: DType): Matrix | undefined => {
    const place = placeOf(down, across);
    return place && { ...place, step: batch.strides[step]!, alignment: alignmentOf(v.offset, dtype) };
  };
  const run = (m: Merged, operand: number): Run => ({ extent: m.extent, stride: m.strides[operand]! });
  const a = matrix(run(columns, 0), run(depth, 1), 1, rightView, problem.right.dtype);
  const b = matrix(run(depth, 0), run(rows, 0), 0, leftView, problem.left.dtype);
  const d = matrix(run(columns, 1), run(rows, 1), 2, output, resultDType);
  const c = matrix(run(columns, 2), run(rows, 2), 3, added, resultDType);
  if (!a || !b || !c || !d || c.transposed || d.transposed) return undefined;
  return { rows: columns.extent, columns: rows.extent, depth: depth.extent, batch: batch.extent, a, b, c, d };
}

interface Merged {
  readonly extent: Dim;
  /** Of each operand. */
  readonly strides: readonly Dim[];
}

interface Run {
  readonly extent: Dim;
  readonly stride: Dim;
}

/** The axes of a role as one, if every operand walks them with one stride. */
function merge(extents: readonly Dim[], strides: readonly (readonly Dim[])[]): Merged | undefined {
  let merged: Merged = { extent: 1, strides: strides.map(() => 0) };
  for (const [axis, extent] of extents.entries()) {
    if (extent === 1) continue;
    const own = strides.map((s) => s[axis]!);
    if (merged.extent !== 1 && !merged.strides.every((s, k) => provablyEqual(s, mulDims(own[k]!, extent))))
      return undefined;
    merged = { extent: mulDims(merged.extent, extent), strides: own };
  }
  return merged;
}

function stridesOfRole(problem: Problem, role: Role, view: MemoryView): Dim[] {
  return problem[role].map((_, axis) => {
    const at = problem.output.findIndex((o) => o.terms.some((t) => t.role === role && t.axis === axis));
    return view.strides[at] ?? 0;
  });
}

/** Zeros where there is no bias: they merge with everything. */
function biasStrides(problem: Problem, bias: number | undefined, view: ViewOf, output: MemoryView): Dim[] {
  if (bias === undefined) return problem.columns.map(() => 0);
  if (problem.bias?.input === bias) return [view(bias).strides[0]!];
  return stridesOfRole(problem, 'columns', broadcastView(view(bias), output.dims));
}

/** How a matrix lies whose rows go `down`: by columns, or transposed. */
function placeOf(down: Run, across: Run): Pick<Matrix, 'ld' | 'transposed'> | undefined {
  const along = (inner: Run, outer: Run): Dim | undefined => {
    if (inner.extent !== 1 && inner.stride !== 1) return undefined;
    if (outer.extent === 1) return inner.extent;
    return provablyLessOrEqual(inner.extent, outer.stride) ? outer.stride : undefined;
  };
  const plain = along(down, across);
  if (plain !== undefined) return { ld: plain, transposed: false };
  const turned = along(across, down);
  return turned === undefined ? undefined : { ld: turned, transposed: true };
}
