import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GraphBuilder, type Network, Tensor, tensorType } from '@tensorwright/core';
import { OnnxParser, readValueFile, writeOnnx } from '@tensorwright/parser-onnx';
import { describe, expect, it } from 'vitest';
import { conformanceCases, difference, sharedFolder } from './support/conformance-data.js';
import { evaluateCase } from './support/evaluate-case.js';
import { runOnOrt } from './support/network-on-ort.js';

const data = conformanceCases(join(sharedFolder, 'onnx-conformance'));
const quick = data?.cases.filter((c) => c.set !== 'light') ?? [];

/** Cases that ONNX Runtime also gets wrong on the original models: it ignores MaxUnpool's output shape, and a rule of Resize. */
const wrongInOrt = new Set([
  'test_maxunpool_export_with_output_shape',
  'test_resize_downsample_scales_linear_align_corners',
]);

/** Some of the cases, so that the test stays short; `scripts/evaluate-conformance.mjs --written` runs all. */
describe.skipIf(!data)('written models (of the data in ../shared/onnx-conformance)', () => {
  it('compute the same when read again', { timeout: 300_000 }, async () => {
    const failed: string[] = [];
    let passed = 0;
    for (const c of quick.filter((_, i) => i % 3 === 0)) {
      const { status, reason } = await evaluateCase(data!.root, c, { written: true });
      if (status === 'passed') passed++;
      if (status === 'failed') failed.push(`${c.case}: ${reason ?? ''}`);
    }
    expect(failed).toEqual([]);
    expect(passed).toBeGreaterThanOrEqual(480);
  });

  it('compute the same in ONNX Runtime', { timeout: 300_000 }, async () => {
    const wrong: string[] = [];
    let right = 0;
    for (const c of quick.filter((_, i) => i % 5 === 0)) {
      const folder = join(data!.root, c.path);
      const network = await OnnxParser.parse(readFileSync(join(folder, 'model.onnx'))).catch(() => undefined);
      if (!network || wrongInOrt.has(c.case)) continue;
      const read = (
        name: string,
        i: number,
        type: Parameters<typeof readValueFile>[1],
      ): ReturnType<typeof readValueFile> =>
        readValueFile(readFileSync(join(folder, 'test_data_set_0', `${name}_${i}.pb`)), type);
      let results: Awaited<ReturnType<typeof runOnOrt>>;
      try {
        results = await runOnOrt(
          network,
          network.inputs.map((v, i) => read('input', i, v.value.type)),
        );
      } catch {
        continue; // Cannot be written: the case above counts these.
      }
      if (typeof results === 'string') continue;
      // Its Fourier transforms are float32 throughout.
      const tolerant =
        c.ops.includes('DFT') || c.ops.includes('STFT') ? { ...c, atol: 1e-3 } : { ...c, atol: Math.max(c.atol, 1e-5) };
      const differences = network.outputs
        .map((o, i) => difference(results[i], read('output', i, o.value.type), tolerant, o.name))
        .filter((d) => d !== undefined);
      if (differences.length > 0) wrong.push(`${c.case}: ${differences[0]!}`);
      else right++;
    }
    expect(wrong).toEqual([]);
    expect(right).toBeGreaterThanOrEqual(240);
  });
});

describe('writeOnnx', () => {
  const builder = new GraphBuilder();
  const x = builder.input('x', tensorType('float32', [2]));
  const network = (value: Network['outputs'][number]['value']): Network => ({
    name: 'n',
    graph: { inputs: [x], outputs: [value] },
    builder,
    inputs: [{ name: 'x', value: x }],
    outputs: [{ name: 'y', value }],
    metadata: { author: 'someone' },
    opsets: {},
  });

  it('gives an output that is an input its own name', async () => {
    const again = await OnnxParser.parse(writeOnnx(network(x)));
    expect(again.inputs.map((i) => i.name)).toEqual(['x']);
    expect(again.outputs.map((o) => o.name)).toEqual(['y']);
    expect(again.metadata).toMatchObject({ author: 'someone', producerName: 'tensorwright' });
  });

  it('shares small constants and names nodes by where they come from', async () => {
    builder.origin = ['mine'];
    const two = builder.constant(new Tensor('float32', [2], []));
    const again = await OnnxParser.parse(writeOnnx(network(builder.op('mul', [builder.op('add', [x, two]), two]))));
    expect(again.graph.outputs[0]!.node.op).toBe('mul');
  });

  it('refuses what ONNX has no operator for', () => {
    const matrix = builder.input('m', tensorType('float32', [3, 3]));
    expect(() => writeOnnx(network(builder.op('treeEnsemble', [matrix, ...treeTables()], { targets: 1 })))).toThrow(
      /ONNX has no operator for 'treeEnsemble'/,
    );
  });

  function treeTables(): ReturnType<typeof builder.constant>[] {
    const ints = (...list: number[]): ReturnType<typeof builder.constant> =>
      builder.constant(new Tensor('int64', list));
    const floats = (...list: number[]): ReturnType<typeof builder.constant> =>
      builder.constant(new Tensor('float32', list));
    return [
      ints(0),
      ints(0),
      ints(0),
      floats(0.5),
      ints(0),
      ints(1),
      ints(1),
      ints(1),
      ints(0),
      ints(0, 1, 2),
      ints(0, 0),
      floats(1, 2),
    ];
  }
});
