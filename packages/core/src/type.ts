/** Types of values: tensors with symbolic dims, sequences, optionals, maps. Logical shape only, never a layout. */

import { type Dim, dimsKey, formatDims } from './dim.js';
import type { DType } from './dtype.js';

export interface TensorType {
  readonly kind: 'tensor';
  readonly dtype: DType;
  /** undefined: not even the rank is known. */
  readonly dims: readonly Dim[] | undefined;
}

export interface SequenceType {
  readonly kind: 'sequence';
  readonly element: Type;
}

export interface OptionalType {
  readonly kind: 'optional';
  readonly element: Type;
}

/** ai.onnx.ml's maps from int64 or string keys. */
export interface MapType {
  readonly kind: 'map';
  readonly key: 'int64' | 'string';
  readonly element: Type;
}

export type Type = TensorType | SequenceType | OptionalType | MapType;

export function tensorType(dtype: DType, dims: readonly Dim[] | undefined): TensorType {
  return { kind: 'tensor', dtype, dims };
}

export function typeKey(type: Type): string {
  switch (type.kind) {
    case 'tensor':
      return `${type.dtype}[${type.dims ? dimsKey(type.dims) : '?'}]`;
    case 'sequence':
      return `seq(${typeKey(type.element)})`;
    case 'optional':
      return `opt(${typeKey(type.element)})`;
    case 'map':
      return `map(${type.key},${typeKey(type.element)})`;
  }
}

export function formatType(type: Type): string {
  switch (type.kind) {
    case 'tensor':
      return `${type.dtype}${formatDims(type.dims)}`;
    case 'sequence':
      return `sequence(${formatType(type.element)})`;
    case 'optional':
      return `optional(${formatType(type.element)})`;
    case 'map':
      return `map(${type.key}, ${formatType(type.element)})`;
  }
}
