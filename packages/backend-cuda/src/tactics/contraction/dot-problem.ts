/** dot as a contraction: roles of its labels; the operand with the output's innermost label gives the columns. */

import { type Dim, dotRoles, type DType, type GroupView, type MemoryView, type TensorType } from '@tensorwright/core';
import type { Operand, OperandAxes, OutputAxis, Problem } from './problem.js';

/** @param views the operands' views, where they are known: they order the labels of the depth */
export function dotProblem(group: GroupView, views?: readonly (MemoryView | undefined)[]): Problem {
  const anchor = group.anchor!;
  const labels = [anchor.attributes['lhs'] as string, anchor.attributes['rhs'] as string];
  const out = anchor.attributes['out'] as string;
  // Columns run along the output's innermost axis: there the results are stored as vectors.
  const first = labels[0]!.includes(out.at(-1) ?? '') && !labels[1]!.includes(out.at(-1) ?? '') ? 1 : 0;
  const order = [first, 1 - first] as const;
  const [lhs, rhs] = order.map((i) => labels[i]!) as [string, string];
  const roles = dotRoles(lhs, rhs, out);
  const types = order.map((i) => anchor.inputs[i]!.type as TensorType);
  const extent = (label: string): Dim => {
    const [a, b] = [lhs, rhs].map((l, i) => (l.includes(label) ? types[i]!.dims![l.indexOf(label)]! : undefined));
    return typeof a === 'number' ? a : typeof b === 'number' ? b : (a ?? b)!;
  };
  const inputs = order.map((i) => group.anchorInputs[i]!);
  const depth = byStride(
    roles.contracted,
    [lhs, rhs],
    inputs.map((i) => views?.[i]),
  );
  const operand = (i: number, own: readonly string[]): Operand => ({
    input: inputs[i]!,
    dtype: types[i]!.dtype,
    axes: (view) => axesOf([lhs, rhs][i]!, view, roles.batch, own, depth),
  });
  const extents = (list: readonly string[]): Dim[] => list.map(extent);
  return {
    batch: extents(roles.batch),
    rows: extents(roles.rows),
    columns: extents(roles.columns),
    depth: extents(depth),
    left: operand(0, roles.rows),
    right: operand(1, roles.columns),
    output: [...out].map((label): OutputAxis => {
      const [role, list] = roles.batch.includes(label)
        ? (['batch', roles.batch] as const)
        : roles.rows.includes(label)
          ? (['rows', roles.rows] as const)
          : (['columns', roles.columns] as const);
      return { terms: [{ role, axis: list.indexOf(label), step: 1 }], checked: false };
    }),
  };
}

function axesOf(
  labels: string,
  view: MemoryView,
  batch: readonly string[],
  own: readonly string[],
  depth: readonly string[],
): OperandAxes {
  const strides = (list: readonly string[]): Dim[] =>
    list.map((l) => (view.dims[labels.indexOf(l)] === 1 ? 0 : view.strides[labels.indexOf(l)]!));
  return { batch: strides(batch), own: strides(own), depth: strides(depth), windows: [] };
}

/** The innermost label of an operand last, so that copies run along the depth where they can. */
function byStride(
  labels: readonly string[],
  operands: readonly string[],
  views: readonly (MemoryView | undefined)[],
): readonly string[] {
  const strideOf = (label: string): number => {
    for (const [i, view] of views.entries()) {
      const stride = view?.strides[operands[i]!.indexOf(label)];
      if (stride !== undefined) return typeof stride === 'number' ? stride : Infinity;
    }
    return -operands[0]!.indexOf(label);
  };
  return [...labels].sort((a, b) => (strideOf(a) === strideOf(b) ? 0 : strideOf(b) - strideOf(a)));
}

/** The type of the sums, of operands that may be multiplied. */
export function sumType(dtype: DType): 'f32' | 'f64' | 'i32' | 'u32' | 'u64' {
  switch (dtype) {
    case 'float64':
      return 'f64';
    case 'int64':
    case 'uint64':
      return 'u64';
    case 'int32':
    case 'uint32':
      return 'u32';
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
      return 'i32';
    default:
      return 'f32';
  }
}
