/**
 * What the native executor gets of inputs of strings: tensors of no bytes that have their extents, with one of 0 after
 * them. Symbols that only such inputs tell have their values there, too.
 */

import { type PlanProgram, type PlanValue, type Tensor } from '@tensorwright/core';
import type { NativeTensor } from '@tensorwright/native';

/** One more than these would be too many axes for the native executor. */
const mostAxes = 11;

/** The program with such tensors in the place of its inputs of strings. */
export function withStringExtents(program: PlanProgram): PlanProgram {
  if (!program.values.some(isInputOfStrings)) return program;
  const zero = program.expressions.length;
  const values = program.values.map((v): PlanValue =>
    isInputOfStrings(v) ? { ...v, dtype: 'uint8', dims: [...v.dims!, zero] } : v,
  );
  return { ...program, expressions: [...program.expressions, [0]], values };
}

export function extentsOfStrings({ dims }: Tensor): NativeTensor | null {
  return dims.length > mostAxes ? null : { dtype: 'uint8', dims: [...dims, 0], data: new Uint8Array(0) };
}

function isInputOfStrings({ storage, dtype, dims }: PlanValue): boolean {
  return storage.kind === 'input' && dtype === 'string' && dims !== undefined && dims.length <= mostAxes;
}
