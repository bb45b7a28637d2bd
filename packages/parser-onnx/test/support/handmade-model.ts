/** Models put together by hand, and what becomes of them. */

import { TensorwrightError } from '@tensorwright/core';
import { OnnxParser, type ParseOptions } from '@tensorwright/parser-onnx';
import { expect } from 'vitest';
import { onnx } from '../../src/proto/decode.js';

export const FLOAT: number = onnx.TensorProto.DataType.FLOAT;
export const INT64: number = onnx.TensorProto.DataType.INT64;

export function tensorInfo(
  name: string,
  dims: readonly (number | string)[] = [2],
  elemType: number = FLOAT,
): onnx.ValueInfoProto.$Properties {
  return {
    name,
    type: {
      tensorType: {
        elemType,
        shape: { dim: dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d })) },
      },
    },
  };
}

export function node(
  opType: string,
  input: string[],
  output: string[],
  more: onnx.NodeProto.$Properties = {},
): onnx.NodeProto.$Properties {
  return { opType, input, output, name: `${opType} ${output[0] ?? ''}`, ...more };
}

export function modelBytes(graph: onnx.GraphProto.$Properties, more: onnx.ModelProto.$Properties = {}): Uint8Array {
  const whole = { name: 'g', input: [tensorInfo('x')], output: [tensorInfo('y')], ...graph };
  return onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: whole,
    ...more,
  }).finish();
}

export async function refusal(bytes: Uint8Array, options: ParseOptions = {}): Promise<TensorwrightError> {
  try {
    await OnnxParser.parse(bytes, options);
  } catch (error) {
    if (TensorwrightError.is(error)) return error;
    throw error;
  }
  throw new Error('the model was accepted');
}

export async function reasons(graph: onnx.GraphProto.$Properties, more?: onnx.ModelProto.$Properties): Promise<string> {
  const error = await refusal(modelBytes(graph, more));
  expect(['ERR_INVALID_MODEL', 'ERR_UNSUPPORTED', 'ERR_EXTERNAL_DATA']).toContain(error.code);
  return error.message;
}
