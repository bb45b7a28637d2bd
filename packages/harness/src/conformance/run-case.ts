/** One case through the whole path: parse, build, plan bytes, load, run, compare. */

import { formatType, type RuntimeValue, TensorwrightError, type Type } from '@tensorwright/core';
import { Builder } from '@tensorwright/builder';
import { OnnxParser, readValueFile } from '@tensorwright/parser-onnx';
import { Runtime } from '@tensorwright/runtime';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConformanceCase, difference } from './data.js';

export interface CaseResult {
  readonly status: 'passed' | 'failed' | 'unsupported';
  readonly reason?: string;
  /** Backends that the plan's segments run on. */
  readonly backends: readonly string[];
}

export async function runCase(
  root: string,
  c: ConformanceCase,
  backends: readonly string[],
  optimizationLevel: 0 | 3,
): Promise<CaseResult> {
  const folder = join(root, c.path);
  const read = (file: string, type: Type): RuntimeValue =>
    readValueFile(readFileSync(join(folder, 'test_data_set_0', file)), type);
  let used: readonly string[] = [];
  try {
    const network = await OnnxParser.parse(readFileSync(join(folder, 'model.onnx')));
    const types = network.inputs.map((i) => i.value.type);
    const outputTypes = network.outputs.map((o) => ({ name: o.name, type: o.value.type }));
    const plan = await new Builder().build(network, { backends, optimizationLevel });
    used = [...new Set(plan.header.program.segments.map((s) => s.backend))];
    const engine = await Runtime.load(await plan.toBytes());
    try {
      const context = engine.createContext({ poison: true });
      const inputs = Object.fromEntries(
        network.inputs.map((input, i) => [input.name, read(`input_${String(i)}.pb`, types[i]!)]),
      );
      const results = await context.run<RuntimeValue>(inputs);
      for (const [i, { name, type }] of outputTypes.entries()) {
        const d = difference(results[name], read(`output_${String(i)}.pb`, type), c, name);
        if (d !== undefined) return { status: 'failed', reason: `${d} (inferred ${formatType(type)})`, backends: used };
      }
      return { status: 'passed', backends: used };
    } finally {
      await engine.close();
    }
  } catch (error) {
    if (!TensorwrightError.is(error))
      return {
        status: 'failed',
        reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
        backends: used,
      };
    return {
      status: error.code === 'ERR_UNSUPPORTED' ? 'unsupported' : 'failed',
      reason: `${error.code} ${error.message}`,
      backends: used,
    };
  }
}
