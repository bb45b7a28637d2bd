/** Plain arrays of numbers, bigints or booleans as the storage of a tensor, refused where the dtype does not hold them. */

import { type DType, dtypeInfo, isBig } from './dtype.js';
import { TensorwrightError } from './errors.js';
import { floatEncoder, isNarrowFloat } from './float-formats.js';
import { pack } from './packed.js';

/**
 * Storage for one entry per element (two for complex numbers): floats are rounded to the nearest, integers must fit, and
 * bool takes booleans, 0 and 1.
 * @throws ERR_DTYPE_MISMATCH with the place of what the dtype does not hold
 */
export function storageOfPlain(
  dtype: Exclude<DType, 'string'>,
  elements: readonly unknown[],
): ArrayLike<number | bigint> {
  const { bits, class: kind } = dtypeInfo(dtype);
  const numbers = elements.map((value, i) => {
    if (typeof value === 'number' || typeof value === 'bigint') return value;
    if (typeof value === 'boolean' && kind === 'bool') return Number(value);
    throw doesNotHold(dtype, i, value);
  });
  if (kind === 'float' || kind === 'complex') {
    const floats = numbers.map(Number);
    if (!isNarrowFloat(dtype)) return floats;
    const patterns = floats.map(floatEncoder(dtype));
    return bits < 8 ? pack(dtype, patterns) : patterns;
  }
  const [least, greatest] = rangeOf(kind, bits);
  numbers.forEach((value, i) => {
    const isWhole = typeof value === 'bigint' || Number.isInteger(value);
    if (!isWhole || value < least || value > greatest) throw doesNotHold(dtype, i, value);
  });
  if (isBig(dtype)) return numbers.map(BigInt);
  return bits < 8 ? pack(dtype, numbers.map(Number)) : numbers.map(Number);
}

function rangeOf(kind: string, bits: number): readonly [bigint, bigint] {
  if (kind === 'bool') return [0n, 1n];
  const all = 1n << BigInt(bits);
  return kind === 'int' ? [-all / 2n, all / 2n - 1n] : [0n, all - 1n];
}

function doesNotHold(dtype: DType, index: number, value: unknown): TensorwrightError {
  return new TensorwrightError(
    'ERR_DTYPE_MISMATCH',
    `Tensor: element ${String(index)} is ${String(value)}, which ${dtype} does not hold`,
    {
      dtype,
      index,
    },
  );
}
