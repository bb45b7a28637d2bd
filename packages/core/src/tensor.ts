/** A dense row-major array of one dtype: what goes into a run and comes out of it. */

import { byteLength, type DType, dtypeInfo, isDType } from './dtype.js';
import { TensorwrightError } from './errors.js';
import { storageOfPlain } from './plain-elements.js';

/**
 * Storage of each dtype. float16 and bfloat16 are bit patterns in a Uint16Array, 8-bit floats bit patterns in a
 * Uint8Array, bool 0 or 1 in a Uint8Array; types below 8 bits are packed into a Uint8Array, lowest bits first;
 * complex numbers are interleaved (real, imaginary).
 */
export interface TensorDataOf {
  float32: Float32Array;
  float16: Uint16Array;
  bfloat16: Uint16Array;
  float64: Float64Array;
  float8e4m3fn: Uint8Array;
  float8e4m3fnuz: Uint8Array;
  float8e5m2: Uint8Array;
  float8e5m2fnuz: Uint8Array;
  float8e8m0: Uint8Array;
  float4e2m1: Uint8Array;
  int2: Uint8Array;
  uint2: Uint8Array;
  int4: Uint8Array;
  uint4: Uint8Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
  complex64: Float32Array;
  complex128: Float64Array;
  string: readonly string[];
}

/** What a tensor can be made of beside its storage. */
export type PlainElements<T extends DType> =
  readonly number[] | readonly bigint[] | (T extends 'bool' ? readonly boolean[] : never);

export type TensorData = TensorDataOf[DType];
export type NumericData = Exclude<TensorData, readonly string[]>;

type NumericArrayConstructor = new (buffer: ArrayBufferLike, byteOffset?: number, length?: number) => NumericData;

const arrays: Record<Exclude<DType, 'string'>, NumericArrayConstructor> = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float64: Float64Array,
  float8e4m3fn: Uint8Array,
  float8e4m3fnuz: Uint8Array,
  float8e5m2: Uint8Array,
  float8e5m2fnuz: Uint8Array,
  float8e8m0: Uint8Array,
  float4e2m1: Uint8Array,
  int2: Uint8Array,
  uint2: Uint8Array,
  int4: Uint8Array,
  uint4: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  complex64: Float32Array,
  complex128: Float64Array,
};

/** Array elements that hold `count` tensor elements: packed and complex types differ from 1. */
export function storageLength(dtype: DType, count: number): number {
  if (dtype === 'string') return count;
  if (dtypeInfo(dtype).class === 'complex') return count * 2;
  return dtypeInfo(dtype).bits < 8 ? byteLength(dtype, count) : count;
}

export function elementCount(dims: readonly number[]): number {
  let n = 1;
  for (const d of dims) n *= d;
  return n;
}

export class Tensor<T extends DType = DType> {
  readonly dtype: T;
  readonly dims: readonly number[];
  readonly data: TensorDataOf[T];

  /**
   * @param data as `TensorDataOf` says, or a plain array of the elements: numbers (rounded where the dtype is a narrower
   *   float), bigints, or for bool booleans.
   * @param dims default: one dimension with all elements.
   * @throws ERR_DTYPE_MISMATCH when `data` is of another array type or has an element that the dtype does not hold,
   *   ERR_SHAPE_MISMATCH when its length is not that of `dims`.
   */
  constructor(dtype: T, data: TensorDataOf[T] | PlainElements<T>, dims?: readonly number[]) {
    if (!isDType(dtype)) {
      throw new TensorwrightError('ERR_DTYPE_MISMATCH', `Tensor: unknown dtype '${String(dtype)}'`, { dtype });
    }
    const shape = dims ?? [(data as ArrayLike<unknown> | undefined)?.length ?? 0];
    for (const d of shape) {
      if (!Number.isSafeInteger(d) || d < 0) {
        throw new TensorwrightError(
          'ERR_SHAPE_MISMATCH',
          `Tensor: dims must be non-negative integers, received [${shape.join(', ')}]`,
          { dims: shape },
        );
      }
    }
    this.dtype = dtype;
    this.dims = Object.freeze([...shape]);
    this.data = toStorage(dtype, data);
    const expected = storageLength(dtype, elementCount(shape));
    if (this.data.length !== expected) {
      throw new TensorwrightError(
        'ERR_SHAPE_MISMATCH',
        `Tensor: ${dtype}[${shape.join(', ')}] needs ${String(expected)} storage elements, received ${String(this.data.length)}`,
        { dtype, dims: shape, expected, received: this.data.length },
      );
    }
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.dims);
  }

  /** The bytes of the elements, little-endian, without a copy. Not for strings. */
  get bytes(): Uint8Array {
    const data = this.data;
    if (!ArrayBuffer.isView(data))
      throw new TensorwrightError('ERR_DTYPE_MISMATCH', 'Tensor: string tensors have no bytes');
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }

  /** A tensor of zeros (empty strings). */
  static zeros<T extends DType>(dtype: T, dims: readonly number[]): Tensor<T> {
    return new Tensor(dtype, allocate(dtype, elementCount(dims)), dims);
  }

  /** Interprets little-endian bytes; they are copied only where their offset is not aligned to the element. */
  static fromBytes<T extends DType>(dtype: T, bytes: Uint8Array, dims: readonly number[]): Tensor<T> {
    if (dtype === 'string')
      throw new TensorwrightError('ERR_DTYPE_MISMATCH', 'Tensor.fromBytes: strings have no byte form');
    const ctor = arrayOf(dtype);
    const width = (ctor as unknown as { BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT;
    const expected = storageLength(dtype, elementCount(dims)) * width;
    if (bytes.byteLength !== expected) {
      throw new TensorwrightError(
        'ERR_SHAPE_MISMATCH',
        `${dtype}[${dims.join(', ')}] needs ${String(expected)} bytes, received ${String(bytes.byteLength)}`,
        { dtype, dims, expected, received: bytes.byteLength },
      );
    }
    const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes); // not slice(): a Buffer's is a view
    return new Tensor(dtype, new ctor(aligned.buffer, aligned.byteOffset, expected / width) as TensorDataOf[T], dims);
  }

  /** The same elements under other dims of equal size. */
  reshape(dims: readonly number[]): Tensor<T> {
    return new Tensor(this.dtype, this.data, dims);
  }
}

/** The array of a dtype's elements; strings have none and are told apart before. */
function arrayOf(dtype: DType): NumericArrayConstructor {
  return arrays[dtype as Exclude<DType, 'string'>];
}

/** Zeroed storage for `count` elements. */
export function allocate<T extends DType>(dtype: T, count: number): TensorDataOf[T] {
  const n = storageLength(dtype, count);
  if (dtype === 'string') return new Array<string>(n).fill('') as unknown as TensorDataOf[T];
  const ctor = arrayOf(dtype) as unknown as new (n: number) => TensorDataOf[T];
  return new ctor(n);
}

function toStorage<T extends DType>(dtype: T, data: TensorDataOf[T] | PlainElements<T>): TensorDataOf[T] {
  if (dtype === 'string') {
    if (Array.isArray(data) && data.every((v) => typeof v === 'string')) return data as unknown as TensorDataOf[T];
    throw new TensorwrightError('ERR_DTYPE_MISMATCH', 'Tensor: a string tensor takes an array of strings');
  }
  const ctor = arrayOf(dtype);
  if (data instanceof ctor) return data as TensorDataOf[T];
  if (dtype === 'uint8' && data instanceof Uint8ClampedArray)
    return new Uint8Array(data.buffer, data.byteOffset, data.length) as TensorDataOf[T];
  if (Array.isArray(data)) {
    const { from } = ctor as unknown as { from(elements: ArrayLike<number | bigint>): TensorDataOf[T] };
    return from.call(ctor, storageOfPlain(dtype, data));
  }
  const received = data === undefined || data === null ? String(data) : `a ${(data as object).constructor.name}`;
  throw new TensorwrightError('ERR_DTYPE_MISMATCH', `Tensor: ${dtype} takes a ${ctor.name}, received ${received}`, {
    dtype,
    expected: ctor.name,
    received,
  });
}
