/** Constants from TensorProto: raw bytes, typed fields, external data, sparse form. Checked at once, read when asked for. */

import {
  byteLength,
  ConstantData,
  type DType,
  dtypeInfo,
  elementCount,
  elementsOf,
  type NumericData,
  storageLength,
  Tensor,
  type TensorDataOf,
  allocate,
} from '@tensorwright/core';
import { dtypeOfCode } from './dtype-codes.js';
import type { ExternalData } from './external-data.js';
import { ImportFailure } from './problems.js';
import { type Int64, type SparseTensorProto, type TensorProto, text, toBigInt, toNumber } from './proto/decode.js';

export interface TensorSource {
  /** Reads external data; absent where there is no folder for it. */
  readonly external?: ExternalData | undefined;
  /** Most bytes of a constant that the file does not store densely. */
  readonly maxConstantBytes: number;
}

const externalLocation = 1;

/** @throws ImportFailure when the tensor is malformed, unsupported, or its data lacks */
export function constantFromProto(proto: TensorProto, source: TensorSource): ConstantData {
  const dtype = dtypeOf(proto);
  const dims = checkedDims(proto.dims ?? []);
  if (proto.segment)
    throw new ImportFailure(
      'ERR_UNSUPPORTED',
      'segmented tensors are not supported',
      'Export the model with whole tensors.',
    );
  const count = elementCount(dims);
  if (proto.dataLocation === externalLocation) return externalConstant(proto, dtype, dims, source);
  if (proto.rawData && (proto.rawData.length > 0 || typedLength(proto) === 0)) {
    const raw = proto.rawData;
    if (dtype === 'string') throw new ImportFailure('ERR_INVALID_MODEL', 'strings cannot lie in raw_data');
    const expected = byteLength(dtype, count);
    if (raw.length !== expected) {
      throw new ImportFailure(
        'ERR_INVALID_MODEL',
        `${dtype}[${dims.join(', ')}] needs ${expected} bytes of raw_data, has ${raw.length}`,
      );
    }
    return new ConstantData(dtype, dims, () => tensorOfBytes(dtype, raw, dims));
  }
  const data = typedData(proto, dtype, count, dims);
  return new ConstantData(dtype, dims, data);
}

function dtypeOf(proto: TensorProto): DType {
  const dtype = dtypeOfCode(proto.dataType);
  if (!dtype) throw new ImportFailure('ERR_UNSUPPORTED', `unknown element type ${proto.dataType ?? 0}`);
  return dtype;
}

/** @throws ImportFailure for dims that are negative or whose product overflows */
export function checkedDims(raw: readonly Int64[]): number[] {
  const dims = raw.map(toNumber);
  let count = 1;
  for (const d of dims) {
    if (!Number.isSafeInteger(d) || d < 0)
      throw new ImportFailure(
        'ERR_INVALID_MODEL',
        `dims [${dims.join(', ')}] must be non-negative integers below 2^53`,
      );
    count *= Math.max(d, 1);
    if (!Number.isSafeInteger(count))
      throw new ImportFailure(
        'ERR_INVALID_MODEL',
        `dims [${dims.join(', ')}] overflow: the element count exceeds 2^53 - 1`,
      );
  }
  return dims;
}

function externalConstant(
  proto: TensorProto,
  dtype: DType,
  dims: readonly number[],
  source: TensorSource,
): ConstantData {
  if (dtype === 'string') throw new ImportFailure('ERR_INVALID_MODEL', 'strings cannot be external data');
  if (!source.external) {
    throw new ImportFailure(
      'ERR_EXTERNAL_DATA',
      'its data lies outside the model, and no folder is known',
      "Use parseFile, or give the option 'externalDataFolder'.",
    );
  }
  const entries = Object.fromEntries((proto.externalData ?? []).map((e) => [e.key ?? '', e.value ?? '']));
  const content = source.external.open(entries, byteLength(dtype, elementCount(dims)));
  return new ConstantData(dtype, dims, {
    read: () => tensorOfBytes(dtype, content.read(), dims),
    load: async () => tensorOfBytes(dtype, await content.load(), dims),
  });
}

/** Little-endian bytes as a tensor; a bool of any non-zero byte becomes 1. */
function tensorOfBytes(dtype: DType, bytes: Uint8Array, dims: readonly number[]): Tensor {
  const tensor = Tensor.fromBytes(dtype, bytes, dims);
  if (dtype === 'bool' && (tensor.data as Uint8Array).some((b) => b > 1)) {
    return new Tensor(
      'bool',
      (tensor.data as Uint8Array).map((b) => (b === 0 ? 0 : 1)),
      dims,
    );
  }
  return tensor;
}

function typedLength(proto: TensorProto): number {
  const fields = [
    proto.floatData,
    proto.int32Data,
    proto.stringData,
    proto.int64Data,
    proto.doubleData,
    proto.uint64Data,
  ];
  return fields.reduce((sum, f) => sum + (f?.length ?? 0), 0);
}

/** The typed field that ONNX lays down for the dtype. */
function fieldOf(proto: TensorProto, dtype: DType): readonly (number | Int64 | Uint8Array)[] {
  switch (dtype) {
    case 'float32':
    case 'complex64':
      return proto.floatData ?? [];
    case 'float64':
    case 'complex128':
      return proto.doubleData ?? [];
    case 'int64':
      return proto.int64Data ?? [];
    case 'uint32':
    case 'uint64':
      return proto.uint64Data ?? [];
    case 'string':
      return proto.stringData ?? [];
    default:
      return proto.int32Data ?? [];
  }
}

function typedData(proto: TensorProto, dtype: DType, count: number, dims: readonly number[]): Tensor {
  const field = fieldOf(proto, dtype);
  const expected = storageLength(dtype, count);
  if (field.length !== expected) {
    throw new ImportFailure(
      'ERR_INVALID_MODEL',
      `${dtype}[${dims.join(', ')}] needs ${expected} entries in its typed field, has ${field.length}`,
    );
  }
  if (dtype === 'string') return new Tensor('string', (field as Uint8Array[]).map(text), dims);
  const data: NumericData = allocate<Exclude<DType, 'string'>>(dtype, count);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    for (let i = 0; i < expected; i++) data[i] = toBigInt(field[i] as Int64);
  } else if (dtypeInfo(dtype).class === 'bool') {
    for (let i = 0; i < expected; i++) data[i] = field[i] === 0 ? 0 : 1;
  } else {
    for (let i = 0; i < expected; i++) data[i] = toNumber(field[i] as Int64);
  }
  return new Tensor(dtype, data, dims);
}

/** The dense form of a sparse tensor. @throws ImportFailure */
export function constantFromSparse(proto: SparseTensorProto, source: TensorSource): ConstantData {
  if (!proto.values || !proto.indices)
    throw new ImportFailure('ERR_INVALID_MODEL', 'a sparse tensor needs values and indices');
  const values = constantFromProto(proto.values, source);
  const indices = constantFromProto(proto.indices, source);
  const dims = checkedDims(proto.dims ?? []);
  const count = elementCount(dims);
  const bytes = byteLength(values.dtype, count);
  if (bytes > source.maxConstantBytes) {
    throw new ImportFailure(
      'ERR_LIMIT_EXCEEDED',
      `its dense form would take ${bytes} bytes, the limit is ${source.maxConstantBytes}`,
      "The option 'maxConstantBytes' raises it.",
    );
  }
  const places = linearIndices(indices, values.dims[0] ?? 0, dims);
  if (values.dtype === 'string') throw new ImportFailure('ERR_UNSUPPORTED', 'sparse strings are not supported');
  if (dtypeInfo(values.dtype).bits < 8 || dtypeInfo(values.dtype).class === 'complex')
    throw new ImportFailure('ERR_UNSUPPORTED', `sparse ${values.dtype} is not supported`);
  return new ConstantData(values.dtype, dims, () => {
    const data = allocate(values.dtype, count) as unknown as unknown[];
    const elements = elementsOf(values.tensor) as ArrayLike<unknown>;
    places.forEach((at, i) => (data[at] = elements[i]));
    return new Tensor(values.dtype, data as unknown as TensorDataOf[DType], dims);
  });
}

function linearIndices(indices: ConstantData, nonZeros: number, dims: readonly number[]): number[] {
  if (indices.dtype !== 'int64')
    throw new ImportFailure('ERR_INVALID_MODEL', `sparse indices must be int64, are ${indices.dtype}`);
  const rank = indices.dims.length === 2 ? (indices.dims[1] ?? 0) : 1;
  if (
    indices.dims.length < 1 ||
    indices.dims.length > 2 ||
    indices.dims[0] !== nonZeros ||
    (indices.dims.length === 2 && rank !== dims.length)
  ) {
    throw new ImportFailure(
      'ERR_INVALID_MODEL',
      `sparse indices [${indices.dims.join(', ')}] fit neither ${nonZeros} values nor dims [${dims.join(', ')}]`,
    );
  }
  const flat = Array.from(indices.tensor.data as BigInt64Array, Number);
  const total = elementCount(dims);
  return Array.from({ length: nonZeros }, (_, i) => {
    let at = 0;
    if (indices.dims.length === 1) at = flat[i]!;
    else for (let k = 0; k < rank; k++) at = at * dims[k]! + inRange(flat[i * rank + k]!, dims[k]!);
    return inRange(at, total);
  });
}

function inRange(index: number, extent: number): number {
  if (index < 0 || index >= extent)
    throw new ImportFailure('ERR_INVALID_MODEL', `sparse index ${index} is out of range (0 to ${extent - 1})`);
  return index;
}
