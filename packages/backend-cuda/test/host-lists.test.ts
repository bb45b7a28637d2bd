/** Lists of numbers that the host computes for a step are read as they lie: plans are free to spread them out. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, type NetworkTensor, registerBackend, type TacticSource } from '@tensorwright/core';
import { loadNative, type NativeTensor, type PlanProgram } from '@tensorwright/native';
import { describe, expect, it, vi } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { hasDevice } from './compare.js';

vi.setConfig({ testTimeout: 120_000 });

const native = loadNative();
const status = native.cuda.status();
const has = (library: 'cublasLt' | 'cudnn'): boolean => status.available && status[library].version !== undefined;

interface Example {
  readonly source?: TacticSource;
  readonly graph: (network: NetworkDefinition) => NetworkTensor;
  readonly inputs: readonly NativeTensor[];
}

const ones = (...dims: number[]): NativeTensor => ({
  dtype: 'float32',
  dims,
  data: new Float32Array(dims.reduce((p, d) => p * d, 1)).fill(1),
});

/** The program, and its weights. */
async function build({ source, graph }: Example): Promise<{ program: PlanProgram; weights: Uint8Array }> {
  registerBackend({
    ...cudaBackend,
    candidates: (node, sources) => {
      const all = cudaBackend.candidates(node, sources);
      const wanted = all.filter((c) => c.source === source);
      return wanted.length > 0 ? wanted : all;
    },
  });
  const network = new NetworkDefinition('lists');
  network.markOutput(graph(network), 'y');
  const plan = await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  const bytes = await plan.toBytes();
  return { program: plan.header.program, weights: bytes.slice(bytes.length - plan.header.report.weightBytes) };
}

/** Every element of the lists that steps of `kernel` are given is their first one: as many, a stride of 0 apart. */
function spread(program: PlanProgram, kernel: string): PlanProgram {
  const expressions = [...program.expressions];
  const index = (n: number): number => expressions.push([n]) - 1;
  let found = 0;
  const steps = program.steps.map((step) => ({
    ...step,
    inputs: step.inputs.map((operand) => {
      const storage = operand ? program.values[operand.value]!.storage : undefined;
      if (step.kernel !== kernel || storage?.kind !== 'dims') return operand;
      found++;
      return { value: operand!.value, dims: [index(storage.elements.length)], strides: [index(0)] };
    }),
  }));
  expect(found, 'a list').toBeGreaterThan(0);
  return { ...program, expressions, steps };
}

async function run(program: PlanProgram, weights: Uint8Array, inputs: readonly NativeTensor[]): Promise<unknown> {
  using loaded = native.createProgram(program, native.openWeights(weights));
  using context = loaded.createContext();
  return await context.run(inputs);
}

const matrix = (n: NetworkDefinition, name: string, ...dims: number[]): NetworkTensor =>
  n.addInput(name, 'float32', dims);

describe.skipIf(!hasDevice)('lists of the host that are spread out', () => {
  it.each([
    [
      'launch',
      { graph: (n) => n.addElementWise(matrix(n, 'x', 2, 3), matrix(n, 'w', 3), 'sum'), inputs: [ones(2, 3), ones(3)] },
    ],
    [
      'extents',
      {
        graph: (n) =>
          n.addOperator('compress', [matrix(n, 'x', 2, 3, 5), n.addInput('c', 'bool', [2])], { axis: 0 })[0]!,
        inputs: [ones(2, 3, 5), { dtype: 'bool', dims: [2], data: Uint8Array.of(0, 1) }],
      },
    ],
    [
      'cublaslt',
      {
        source: 'cublasLt',
        graph: (n) => n.addMatrixMultiply(matrix(n, 'x', 16, 8), 'none', matrix(n, 'w', 8, 16), 'none'),
        inputs: [ones(16, 8), ones(8, 16)],
      },
    ],
    [
      'cudnn',
      {
        source: 'cudnn',
        graph: (n) => n.addConvolution(matrix(n, 'x', 2, 3, 8, 8), matrix(n, 'w', 4, 3, 3, 3)),
        inputs: [ones(2, 3, 8, 8), ones(4, 3, 3, 3)],
      },
    ],
  ] as [string, Example][])('are refused by %s', async (kernel, example) => {
    if (example.source && !has(example.source)) return;
    const { program, weights } = await build(example);
    await run(program, weights, example.inputs);
    await expect(run(spread(program, kernel), weights, example.inputs)).rejects.toMatchObject({
      code: 'ERR_INVALID_PLAN',
      message: expect.stringContaining('a list whose elements lie apart') as string,
    });
  });
});
