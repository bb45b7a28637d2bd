/** Arguments of kernels that are no tensors and no integers. */

import type { Dim } from '@tensorwright/core';
import type { SpecialArgument } from './cuda-implementation.js';

/** Makes arguments that plain values cannot say. */
export const arg: {
  /** A float parameter. */
  float(value: number): SpecialArgument;
  /** Any C++ expression, evaluated in the kernel. */
  text(expression: string): SpecialArgument;
  /** A pointer so many bytes into the scratch memory; a multiple of 256 is best. Default: its beginning. */
  workspace(offset?: Dim): SpecialArgument;
  /** `i64*`: where `count` writes the extents it finds. */
  extents(): SpecialArgument;
} = {
  float: (value) => ({ kind: 'literal', value: floatText(value) }),
  text: (value) => ({ kind: 'literal', value }),
  workspace: (value = 0) => ({ kind: 'workspace', value }),
  extents: () => ({ kind: 'extents', value: 0 }),
};

/** A literal that is the same float32. */
export function floatText(value: number): string {
  const rounded = Math.fround(value);
  if (Number.isNaN(rounded)) return '__int_as_float(0x7fffffff)';
  if (!Number.isFinite(rounded)) return `__int_as_float(${rounded > 0 ? '0x7f800000' : '0xff800000'})`;
  const text = Object.is(rounded, -0) ? '-0' : String(rounded);
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}
