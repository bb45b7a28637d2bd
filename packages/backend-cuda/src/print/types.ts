/** The prelude's names of element types. */

import type { DType } from '@tensorwright/core';

const names: Partial<Record<DType, string>> = {
  float32: 'f32',
  float64: 'f64',
  float16: 'f16',
  bfloat16: 'bf16',
  int8: 'i8',
  int16: 'i16',
  int32: 'i32',
  int64: 'i64',
  uint8: 'u8',
  uint16: 'u16',
  uint32: 'u32',
  uint64: 'u64',
  bool: 'b8',
  float8e4m3fn: 'f8e4m3fn',
  float8e4m3fnuz: 'f8e4m3fnuz',
  float8e5m2: 'f8e5m2',
  float8e5m2fnuz: 'f8e5m2fnuz',
  float8e8m0: 'f8e8m0',
};

/** undefined for element types that kernels do not store. */
export function storedType(dtype: DType): string | undefined {
  return names[dtype];
}

/** 'f16', 'i64' … of a dtype that tactics have not refused. */
export function cxxType(dtype: DType): string {
  const name = names[dtype];
  if (name === undefined) throw new TypeError(`kernels do not store ${dtype}`);
  return name;
}
