/** Values outside of models: the .pb files of ONNX test data. */

import { type RuntimeValue, type Type, TensorwrightError } from '@tensorwright/core';
import { dtypeOfCode } from './dtype-codes.js';
import { ImportFailure } from './problems.js';
import { decodeMessage, onnx, text, toBigInt } from './proto/decode.js';
import { constantFromProto, type TensorSource } from './tensor-proto.js';

const source: TensorSource = { maxConstantBytes: 2 ** 31 };

/**
 * Reads a serialized TensorProto, SequenceProto, OptionalProto or MapProto, as `type` says.
 * @throws ERR_INVALID_MODEL for malformed bytes
 */
export function readValueFile(bytes: Uint8Array, type: Type): RuntimeValue {
  try {
    switch (type.kind) {
      case 'tensor':
        return constantFromProto(decodeMessage(onnx.TensorProto, bytes, 'tensor'), source).tensor;
      case 'sequence':
        return sequence(decodeMessage(onnx.SequenceProto, bytes, 'sequence'));
      case 'optional':
        return optional(decodeMessage(onnx.OptionalProto, bytes, 'optional'));
      case 'map':
        return map(decodeMessage(onnx.MapProto, bytes, 'map'));
    }
  } catch (error) {
    if (error instanceof ImportFailure)
      throw new TensorwrightError('ERR_INVALID_MODEL', error.message, {}, { cause: error });
    throw error;
  }
}

function sequence(proto: onnx.SequenceProto.$Properties): RuntimeValue {
  const items: RuntimeValue[] = [
    ...(proto.tensorValues ?? []).map((t) => constantFromProto(t, source).tensor),
    ...(proto.sequenceValues ?? []).map(sequence),
    ...(proto.mapValues ?? []).map(map),
    ...(proto.optionalValues ?? []).map(optional),
  ];
  return { kind: 'sequence', items };
}

function optional(proto: onnx.OptionalProto.$Properties): RuntimeValue {
  let value: RuntimeValue | undefined;
  if (proto.tensorValue && dtypeOfCode(proto.tensorValue.dataType))
    value = constantFromProto(proto.tensorValue, source).tensor;
  else if (proto.sequenceValue) value = sequence(proto.sequenceValue);
  else if (proto.mapValue) value = map(proto.mapValue);
  else if (proto.optionalValue) value = optional(proto.optionalValue);
  return { kind: 'optional', value };
}

function map(proto: onnx.MapProto.$Properties): RuntimeValue {
  const values = proto.values ? (sequence(proto.values) as { items: readonly RuntimeValue[] }).items : [];
  const keys: (bigint | string)[] = proto.stringKeys?.length
    ? proto.stringKeys.map(text)
    : (proto.keys ?? []).map(toBigInt);
  return { kind: 'map', entries: new Map(keys.map((k, i) => [k, values[i]!])) };
}
