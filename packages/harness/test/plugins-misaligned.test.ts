/** Kernels that load several elements at a time, of operands that begin in the middle of another tensor. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, type NetworkTensor, readNumbers, type Tensor, tensorFromNumbers } from '@tensorwright/core';
import { pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { registerStockPlugins } from '@tensorwright/plugins/stock';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it, vi } from 'vitest';
import type { PluginCase } from '../src/plugins/case.js';
import { disentangledAttentionCase } from '../src/plugins/cases/disentangled-attention.js';
import { efficientNmsCase } from '../src/plugins/cases/efficient-nms.js';
import { multiscaleDeformableAttentionCase } from '../src/plugins/cases/multiscale-deformable-attention.js';
import { pillarScatterCase } from '../src/plugins/cases/pillar-scatter.js';
import { cropAndResizeCase, roiAlignCase } from '../src/plugins/cases/regions.js';
import { topkLastDimCase } from '../src/plugins/cases/topk-last-dim.js';
import { rounded } from '../src/plugins/network.js';
import { Random } from '../src/plugins/random.js';

// Compiling takes its time on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const registry = new PluginRegistry();
registerStockPlugins(registry);

/** All floats of the problem behind each other in one input, from its second element on. */
async function errorsOf(subject: PluginCase, name: string): Promise<number[]> {
  const problem = rounded(
    subject.problems(new Random(1)).find((p) => p.name === name)!,
    'float16',
  );
  const operands = Object.entries(problem.inputs);
  const packed: number[] = [0];
  const network = new NetworkDefinition();
  const total = operands.reduce((sum, [, o]) => sum + (o.dtype === 'float' ? o.values.length : 0), 1);
  const all = network.addInput('all', 'float16', [total]);
  const feeds: Record<string, Tensor> = {};
  const inputs: Record<string, NetworkTensor> = {};
  for (const [input, { dtype, dims, values }] of operands) {
    if (dtype === 'float') {
      const part = network.addSlice(all, { start: [packed.length], size: [values.length], stride: [1] });
      inputs[input] = network.addShuffle(part, { reshape: dims });
      packed.push(...values);
    } else {
      inputs[input] = network.addInput(input, dtype, dims);
      feeds[input] = tensorFromNumbers(dtype, values, dims);
    }
  }
  const outputs = subject.plugin.addTo(network, inputs as never, problem.fields as never);
  for (const [output, tensor] of Object.entries(outputs)) network.markOutput(tensor, output);
  const plan = await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  await using engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(registry)] });
  await using context = engine.createContext();
  const results = await context.run({ ...feeds, all: tensorFromNumbers('float16', packed, [total]) });
  return Object.entries(subject.reference(problem)).map(([output, wanted]) => {
    const got = readNumbers(results[output]!);
    return Math.max(
      ...wanted.map((v, i) => (Object.is(v, got[i]) ? 0 : Math.abs(v - got[i]!) / Math.max(1, Math.abs(v)))),
    );
  });
}

describe.skipIf(cudaBackend.device() === undefined)('operands in the middle of another tensor', () => {
  it.each([
    [multiscaleDeformableAttentionCase, '16 channels, gaps'],
    [disentangledAttentionCase, 'linear distances'],
    [pillarScatterCase, '2 frames'],
    [efficientNmsCase, 'all logits'],
    [efficientNmsCase, 'more candidates than fit'],
    [topkLastDimCase, 'long rows'],
    [roiAlignCase, 'many bins'],
    [cropAndResizeCase, 'many results'],
  ] as const)('$name', async (subject, name) => {
    for (const error of await errorsOf(subject, name)) expect(error).toBeLessThan(5e-3);
  });
});
