/** ONNX's conformance cases through parser, builder, plan file and runtime on the reference backend. */

import { Builder } from '@tensorwright/builder';
import { type RuntimeValue, TensorwrightError } from '@tensorwright/core';
import { OnnxParser, readValueFile } from '@tensorwright/parser-onnx';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  type ConformanceCase,
  conformanceCases,
  difference,
  sharedFolder,
} from '../../parser-onnx/test/support/conformance-data.js';
import { Runtime } from '../src/index.js';

const data = conformanceCases(join(sharedFolder, 'onnx-conformance'));
/** What plans treat in a way of their own. */
const special = [
  'subgraph',
  'sequence',
  'optional',
  'string',
  'zero-size',
  'omitted-input',
  'omitted-output',
  'dynamic-output',
  'unranked-input',
  'unranked-output',
  'sub-byte-int',
  'float4',
];
/** All of those, and a part of the others: the operators themselves are tested in core. */
const cases =
  data?.cases.filter((c, i) => c.set !== 'light' && (i % 8 === 0 || c.flags.some((f) => special.includes(f)))) ?? [];

/** undefined: passed, or the parser does not take the model. */
async function failure(root: string, c: ConformanceCase): Promise<string | undefined> {
  const folder = join(root, c.path);
  let network;
  try {
    network = await OnnxParser.parse(readFileSync(join(folder, 'model.onnx')));
  } catch (error) {
    if (TensorwrightError.is(error)) return undefined;
    throw error;
  }
  const read = (file: string, type: Parameters<typeof readValueFile>[1]): RuntimeValue =>
    readValueFile(readFileSync(join(folder, 'test_data_set_0', file)), type);
  const inputs = Object.fromEntries(
    network.inputs.map((input, i) => [input.name, read(`input_${i}.pb`, input.value.type)]),
  );
  try {
    const plan = await new Builder().build(network, { backends: ['reference'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const results = await context.run<RuntimeValue>(inputs);
    for (const [i, output] of network.outputs.entries()) {
      const d = difference(results[output.name], read(`output_${i}.pb`, output.value.type), c, output.name);
      if (d !== undefined) return d;
    }
    return undefined;
  } catch (error) {
    return TensorwrightError.is(error) ? `${error.code} ${error.message}` : ((error as Error).stack ?? String(error));
  }
}

test.skipIf(cases.length === 0)(
  `${cases.length} cases (needs ../shared/onnx-conformance)`,
  async () => {
    const failures: string[] = [];
    for (const c of cases) {
      const reason = await failure(data!.root, c);
      if (reason !== undefined) failures.push(`${c.path}: ${reason}`);
    }
    expect(failures.join('\n')).toBe('');
  },
  300_000,
);
