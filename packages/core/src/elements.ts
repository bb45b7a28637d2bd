/** Access to a tensor's elements whatever its storage: as numbers, as integers, or as opaque items to move around. */

import { type DType, dtypeInfo, isBig } from './dtype.js';
import { invariant } from './errors.js';
import { decodeTable, type EncodeOptions, floatEncoder, isNarrowFloat } from './float-formats.js';
import { pack, unpack } from './packed.js';
import { allocate, elementCount, Tensor, type TensorData, type TensorDataOf } from './tensor.js';

/** (real, imaginary). */
export type Complex = readonly [number, number];

/**
 * One entry per element. Narrow floats are bit patterns, types below 8 bits are unpacked (the signed ones
 * sign-extended), complex numbers are pairs.
 */
export type Elements =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array
  | string[]
  | Complex[];

/** The elements, without a copy where the storage already holds one entry per element. */
export function elementsOf(tensor: Tensor): Elements {
  const { dtype } = tensor;
  const data: TensorData = tensor.data;
  if (dtype === 'string') return data as string[];
  const { bits, class: kind } = dtypeInfo(dtype);
  if (kind === 'complex') return pairs(data as Float32Array | Float64Array);
  return bits < 8 ? unpack(dtype, data as Uint8Array, tensor.size) : (data as Exclude<Elements, string[] | Complex[]>);
}

/** The inverse of `elementsOf`; plain arrays are of such entries: of narrow floats of bit patterns. */
export function tensorOf<T extends DType>(
  dtype: T,
  elements: ArrayLike<number | bigint | string | Complex>,
  dims: readonly number[],
): Tensor<T> {
  const { bits, class: kind } = dtypeInfo(dtype);
  let data: unknown = elements;
  if (kind === 'complex') {
    const flat = allocate(dtype, elements.length) as Float32Array | Float64Array;
    for (let i = 0; i < elements.length; i++) {
      const [re, im] = elements[i] as Complex;
      flat[2 * i] = re;
      flat[2 * i + 1] = im;
    }
    data = flat;
  } else if (bits > 0 && bits < 8) {
    data = pack(dtype, elements as ArrayLike<number>);
  } else if (Array.isArray(elements) && isNarrowFloat(dtype)) {
    const patterns = allocate(dtype, elements.length) as Uint8Array | Uint16Array;
    patterns.set(elements as number[]);
    data = patterns;
  }
  return new Tensor(dtype, data as TensorDataOf[T], dims);
}

/** Room for `count` elements, to be filled and given to `tensorOf`. */
export function allocateElements(dtype: DType, count: number): Elements {
  const { bits, class: kind } = dtypeInfo(dtype);
  if (kind === 'complex') return new Array<Complex>(count).fill([0, 0]);
  if (kind === 'string') return new Array<string>(count).fill('');
  if (bits < 8) return kind === 'int' ? new Int8Array(count) : new Uint8Array(count);
  return allocate(dtype, count) as Elements;
}

function pairs(flat: Float32Array | Float64Array): Complex[] {
  return Array.from({ length: flat.length / 2 }, (_, i): Complex => [flat[2 * i]!, flat[2 * i + 1]!]);
}

/** The elements as doubles. 64-bit integers beyond 2^53 lose bits: see `readIntegers`. Not for strings and complex numbers. */
export function readNumbers(tensor: Tensor): Float64Array {
  const { dtype } = tensor;
  const { class: kind } = dtypeInfo(dtype);
  invariant(kind !== 'string' && kind !== 'complex', `${dtype} elements are no real numbers`);
  if (dtype === 'float64') return tensor.data as Float64Array;
  const elements = elementsOf(tensor);
  if (isNarrowFloat(dtype)) {
    const table = decodeTable(dtype);
    const out = new Float64Array(elements.length);
    const patterns = elements as Uint8Array | Uint16Array;
    for (let i = 0; i < out.length; i++) out[i] = table[patterns[i]!]!;
    return out;
  }
  if (isBig(dtype)) return Float64Array.from(elements as ArrayLike<bigint>, Number);
  return Float64Array.from(elements as ArrayLike<number>);
}

/** The elements of an integer or bool tensor, exactly. */
export function readIntegers(tensor: Tensor): BigInt64Array | BigUint64Array {
  const { dtype } = tensor;
  if (dtype === 'int64' || dtype === 'uint64') return tensor.data as BigInt64Array | BigUint64Array;
  const { class: kind } = dtypeInfo(dtype);
  invariant(kind === 'int' || kind === 'uint' || kind === 'bool', `${dtype} elements are no integers`);
  return BigInt64Array.from(elementsOf(tensor) as ArrayLike<number>, (v) => BigInt(v));
}

/**
 * A tensor of `dtype` with these values: floats are rounded, integers truncated and wrapped, bool is "not zero".
 * NaN and infinities become 0 in integers.
 */
export function tensorFromNumbers<T extends DType>(
  dtype: T,
  numbers: ArrayLike<number>,
  dims: readonly number[],
  options: EncodeOptions = {},
): Tensor<T> {
  const count = elementCount(dims);
  const { class: kind } = dtypeInfo(dtype);
  invariant(kind !== 'string' && kind !== 'complex', `${dtype} elements are no real numbers`);
  invariant(numbers.length === count, `${String(numbers.length)} numbers for [${dims.join(', ')}]`);
  if (dtype === 'float64' && numbers instanceof Float64Array)
    return new Tensor(dtype, numbers as TensorDataOf[T], dims);
  const elements = allocateElements(dtype, count);
  if (isNarrowFloat(dtype)) {
    const patterns = elements as Uint8Array | Uint16Array;
    const encode = floatEncoder(dtype, options);
    for (let i = 0; i < count; i++) patterns[i] = encode(numbers[i]!);
  } else if (isBig(dtype)) {
    const wide = elements as BigInt64Array | BigUint64Array;
    for (let i = 0; i < count; i++) wide[i] = Number.isFinite(numbers[i]) ? BigInt(Math.trunc(numbers[i]!)) : 0n;
  } else {
    const plain = elements as Float64Array;
    if (kind === 'bool') for (let i = 0; i < count; i++) plain[i] = numbers[i] === 0 ? 0 : 1;
    else for (let i = 0; i < count; i++) plain[i] = numbers[i]!;
  }
  return tensorOf(dtype, elements as ArrayLike<number>, dims);
}
