/** Rounding numbers into integer dtypes. */

import { type DType, dtypeInfo } from '../dtype.js';
import { roundHalfEven } from '../float-formats.js';

/** The range of an integer dtype of at most 32 bits. */
export function integerRange(dtype: DType): { min: number; max: number } {
  const { bits, class: kind } = dtypeInfo(dtype);
  return kind === 'int' ? { min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 } : { min: 0, max: 2 ** bits - 1 };
}

/** Rounds half to even and clamps to the dtype's range. */
export function saturateIntegers(values: Float64Array, dtype: DType): Float64Array {
  const { min, max } = integerRange(dtype);
  return values.map((v) => Math.min(Math.max(roundHalfEven(v), min), max));
}
