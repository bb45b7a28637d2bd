/**
 * What a contraction computes, whatever operator it comes from: sums over the depth axes of products of a left operand
 * (batch, rows, depth) and a right one (batch, columns, depth). Each operand's axes have strides of its own; windows of
 * convolutions are pairs of a row axis and a depth axis that meet in one axis of the image.
 */

import type { Dim, DType, MemoryView, Tensor } from '@tensorwright/core';

/** A coordinate of an operand: row · rowStep + depth · depthStep + base, zero where it leaves [0, extent). */
export interface Window {
  /** Index into the operand's rows; undefined: the rows do not move it. */
  readonly row?: number;
  readonly rowStep: number;
  /** Index into the depth. */
  readonly depth: number;
  readonly depthStep: number;
  readonly base: Dim | PhaseTable;
  readonly stride: Dim;
  readonly extent: Dim;
  /** Whether the coordinate can leave the image. */
  readonly checked: boolean;
}

/** A number for each value of a batch coordinate. */
export interface PhaseTable {
  readonly batch: number;
  readonly values: readonly number[];
}

/** How an operand lies over the axes of the problem: strides in elements, one for each axis. */
export interface OperandAxes {
  readonly batch: readonly Dim[];
  /** Rows of the left operand, columns of the right one. */
  readonly own: readonly Dim[];
  readonly depth: readonly Dim[];
  readonly windows: readonly Window[];
}

export interface Operand {
  /** Of the group's inputs. */
  readonly input: number;
  /** What is read in its place: a constant made of it, or an image in scratch memory that an earlier launch writes. */
  readonly instead?: (() => Tensor) | ScratchImage;
  /** Elements of the innermost depth axis from here on are none of the operand's. Default: its extent. */
  readonly used?: number;
  readonly dtype: DType;
  /** Strides of the axes when the operand lies like `view`. */
  axes(view: MemoryView): OperandAxes;
}

export interface ScratchImage {
  /** Dense; the offset is that in the step's scratch memory. */
  readonly view: MemoryView;
}

/** Where an axis of the output comes from: sum of coordinates times steps, in [0, extent) where it is checked. */
export interface OutputAxis {
  readonly terms: readonly { readonly role: Role; readonly axis: number; readonly step: number }[];
  readonly checked: boolean;
}

export type Role = 'batch' | 'rows' | 'columns';

export interface Problem {
  readonly batch: readonly Dim[];
  readonly rows: readonly Dim[];
  readonly columns: readonly Dim[];
  readonly depth: readonly Dim[];
  readonly left: Operand;
  readonly right: Operand;
  readonly output: readonly OutputAxis[];
  /** The bias' input, and the output axis it runs along. */
  readonly bias?: { readonly input: number; readonly axis: number };
}

/** The same with its operands exchanged: rows are columns. */
export function exchange(problem: Problem): Problem {
  const other = { batch: 'batch', rows: 'columns', columns: 'rows' } as const;
  return {
    ...problem,
    rows: problem.columns,
    columns: problem.rows,
    left: problem.right,
    right: problem.left,
    output: problem.output.map((o) => ({ ...o, terms: o.terms.map((t) => ({ ...t, role: other[t.role] })) })),
  };
}
