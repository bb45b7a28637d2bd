/** Element types: storage width, typed array, numeric class. */

export const dtypes = [
  'float32',
  'float16',
  'bfloat16',
  'float64',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'float8e8m0',
  'float4e2m1',
  'int2',
  'uint2',
  'int4',
  'uint4',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
  'complex64',
  'complex128',
  'string',
] as const;

/** ONNX's element types. The order is the native library's numbering. */
export type DType = (typeof dtypes)[number];

export type NumericClass = 'float' | 'int' | 'uint' | 'bool' | 'complex' | 'string';

export interface DTypeInfo {
  /** Storage bits of one element; below 8 the elements are packed, lowest bits first. 0 for strings. */
  readonly bits: number;
  readonly class: NumericClass;
}

const info: Record<DType, DTypeInfo> = {
  float32: { bits: 32, class: 'float' },
  float16: { bits: 16, class: 'float' },
  bfloat16: { bits: 16, class: 'float' },
  float64: { bits: 64, class: 'float' },
  float8e4m3fn: { bits: 8, class: 'float' },
  float8e4m3fnuz: { bits: 8, class: 'float' },
  float8e5m2: { bits: 8, class: 'float' },
  float8e5m2fnuz: { bits: 8, class: 'float' },
  float8e8m0: { bits: 8, class: 'float' },
  float4e2m1: { bits: 4, class: 'float' },
  int2: { bits: 2, class: 'int' },
  uint2: { bits: 2, class: 'uint' },
  int4: { bits: 4, class: 'int' },
  uint4: { bits: 4, class: 'uint' },
  int8: { bits: 8, class: 'int' },
  uint8: { bits: 8, class: 'uint' },
  int16: { bits: 16, class: 'int' },
  uint16: { bits: 16, class: 'uint' },
  int32: { bits: 32, class: 'int' },
  uint32: { bits: 32, class: 'uint' },
  int64: { bits: 64, class: 'int' },
  uint64: { bits: 64, class: 'uint' },
  bool: { bits: 8, class: 'bool' },
  complex64: { bits: 64, class: 'complex' },
  complex128: { bits: 128, class: 'complex' },
  string: { bits: 0, class: 'string' },
};

export function dtypeInfo(dtype: DType): DTypeInfo {
  return info[dtype];
}

export function isDType(name: string): name is DType {
  return Object.hasOwn(info, name);
}

export function isFloat(dtype: DType): boolean {
  return info[dtype].class === 'float';
}

/** Signed or unsigned integers, bool not among them. */
export function isInteger(dtype: DType): boolean {
  return info[dtype].class === 'int' || info[dtype].class === 'uint';
}

/** int64 and uint64: their values are bigints. */
export function isBig(dtype: DType): boolean {
  return dtype === 'int64' || dtype === 'uint64';
}

/** Bytes of `count` densely packed elements. */
export function byteLength(dtype: DType, count: number): number {
  return Math.ceil((count * info[dtype].bits) / 8);
}
