/** One conformance case through parse and the operators' own evaluation. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { evaluateGraph, type RuntimeValue, TensorwrightError, type Type, formatType } from '@tensorwright/core';
import { OnnxParser, readValueFile, writeOnnx } from '@tensorwright/parser-onnx';
import { decodeMessage, onnx } from '../../src/proto/decode.js';
import { type ConformanceCase, difference } from './conformance-data.js';

export interface CaseResult {
  readonly status: 'passed' | 'failed' | 'unsupported';
  readonly reason?: string;
}

export interface CaseOptions {
  /** Replaces every extent of every input by a symbol: the same models, with dynamic shapes. */
  readonly symbolic?: boolean;
  /** Writes the network as ONNX and evaluates what is read from that. */
  readonly written?: boolean;
}

export async function evaluateCase(
  root: string,
  c: ConformanceCase,
  { symbolic = false, written = false }: CaseOptions = {},
): Promise<CaseResult> {
  const folder = join(root, c.path);
  try {
    const bytes = readFileSync(join(folder, 'model.onnx'));
    const parsed = await OnnxParser.parse(symbolic ? withSymbolicInputs(bytes) : bytes);
    const network = written ? await OnnxParser.parse(writeOnnx(parsed)) : parsed;
    const inputs = network.inputs.map((input, i) => read(folder, `input_${i}.pb`, input.value.type));
    const results = evaluateGraph(network.graph, inputs);
    for (const [i, output] of network.outputs.entries()) {
      const want = read(folder, `output_${i}.pb`, output.value.type);
      const d = difference(results[i], want, c, output.name);
      if (d !== undefined) return { status: 'failed', reason: `${d} (inferred ${formatType(output.value.type)})` };
    }
    return { status: 'passed' };
  } catch (error) {
    const reason =
      error instanceof Error
        ? TensorwrightError.is(error)
          ? `${error.code} ${error.message}`
          : (error.stack ?? String(error))
        : String(error);
    return {
      status: TensorwrightError.is(error) && error.code === 'ERR_UNSUPPORTED' ? 'unsupported' : 'failed',
      reason,
    };
  }
}

function withSymbolicInputs(bytes: Uint8Array): Uint8Array {
  const model = decodeMessage(onnx.ModelProto, bytes, 'model');
  for (const input of model.graph?.input ?? []) {
    input.type?.tensorType?.shape?.dim?.forEach((d, axis) => {
      d.dimValue = null;
      d.dimParam = `${input.name ?? ''}_${axis}`;
    });
  }
  return onnx.ModelProto.encode(model).finish();
}

function read(folder: string, file: string, type: Type): RuntimeValue {
  return readValueFile(readFileSync(join(folder, 'test_data_set_0', file)), type);
}
