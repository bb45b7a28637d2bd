/** Tensors that hold one number. */

import { isBig, type DType } from './dtype.js';
import { readNumbers, tensorFromNumbers } from './elements.js';
import { Tensor } from './tensor.js';

/** A rank-0 tensor of the value rounded to the dtype. */
export function scalarTensor(value: number | bigint, dtype: DType): Tensor {
  return isBig(dtype) ? new Tensor<DType>(dtype, [BigInt(value)], []) : tensorFromNumbers(dtype, [Number(value)], []);
}

/** The one number that all elements are; undefined where they differ or are no real numbers. */
export function scalarConstant(t: Tensor): number | undefined {
  if (t.dtype === 'string' || t.dtype === 'complex64' || t.dtype === 'complex128' || t.size === 0) return undefined;
  const values = isBig(t.dtype) ? Array.from(t.data as BigInt64Array, Number) : readNumbers(t);
  const first = values[0]!;
  return values.every((v) => Object.is(v, first)) ? first : undefined;
}
