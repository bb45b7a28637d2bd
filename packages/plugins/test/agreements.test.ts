/** Extents that a plugin needs to agree: a run refuses others before a kernel reads them. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { definePlugin, pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';

const addAll = definePlugin({
  name: 'AddAll',
  inputs: ['x', 'skip'],
  outputs: ['y'],
  infer: ({ inputs: { x, skip }, agree }) => {
    x.dims.forEach((d, i) => agree(d, skip.dims[i]!, 'rows and columns of x and skip'));
    return { y: x };
  },
  cuda: {
    source: `
__global__ void add_all(const float* x, const float* skip, float* y, int count) {
  for (int i = threadIdx.x; i < count; i += blockDim.x) y[i] = x[i] + skip[i];
}`,
    launches: ({ inputs: { x, skip }, outputs: { y } }) => [
      { kernel: 'add_all', grid: 1, block: 64, arguments: [x, skip, y, x.size] },
    ],
  },
  cpu: ({ x, skip }) => ({
    y: (x.data as Float32Array).map((v, i) => v + (skip.data as Float32Array)[i]!),
  }),
});
const registry = new PluginRegistry().register(addAll);

const ones = (rows: number): Tensor => new Tensor('float32', new Float32Array(rows * 3).fill(1), [rows, 3]);

function network(skipDims: readonly (number | string)[]): NetworkDefinition {
  const n = new NetworkDefinition();
  const x = n.addInput('x', 'float32', ['rows', 3]);
  const skip = n.addInput('skip', 'float32', skipDims);
  n.markOutput(addAll.addTo(n, { x, skip }).y, 'y');
  return n;
}

const backends = [['cpu'], ...(cudaBackend.device() ? [['cuda', 'cpu']] : [])];

describe.each(backends)('a plugin on %s', (...names) => {
  it('gets no inputs that do not agree', async () => {
    const plan = await new Builder().build(network(['others', 3]).toNetwork(), { backends: names, plugins: registry });
    await using engine = await Runtime.load(plan, { backends: [pluginBackend(registry)] });
    await using context = engine.createContext();
    for (let i = 0; i < 2; i++) {
      await expect(context.run({ x: ones(5), skip: ones(4) })).rejects.toMatchObject({
        code: 'ERR_SHAPE_MISMATCH',
        message: expect.stringContaining('rows and columns of x and skip are 5 (x) and 4 (skip)') as string,
      });
      const { y } = await context.run({ x: ones(5), skip: ones(5) });
      expect([...(y!.data as Float32Array)]).toEqual(new Array<number>(15).fill(2));
    }
  });
});

describe('the layers of a plugin', () => {
  // As an operator it says nothing about extents, its layers do.
  const lowered = definePlugin({
    name: 'ProductLayers',
    inputs: ['x', 'skip'],
    outputs: ['y'],
    infer: ({ inputs: { x } }) => ({ y: x }),
    cuda: {
      source: '__global__ void product() {}',
      launches: () => [{ kernel: 'product', grid: 1, block: 1, arguments: [] }],
    },
    lower: ({ inputs: { x, skip } }, n) => ({ y: n.addEinsum([x, skip], 'rc,rc->rc') }),
  });

  it('get none that do not agree', async () => {
    const n = new NetworkDefinition();
    const x = n.addInput('x', 'float32', ['rows', 3]);
    n.markOutput(lowered.addTo(n, { x, skip: n.addInput('skip', 'float32', ['others', 3]) }).y, 'y');
    const plan = await new Builder().build(n.toNetwork(), { backends: ['cpu'] });
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    await expect(context.run({ x: ones(5), skip: ones(4) })).rejects.toMatchObject({ code: 'ERR_SHAPE_MISMATCH' });
    expect((await context.run({ x: ones(5), skip: ones(5) })).y!.dims).toEqual([5, 3]);
  });
});

describe('a network', () => {
  it('is refused where numbers differ', () => {
    expect(() => network(['rows', 4])).toThrow(/rows and columns of x and skip: 3 and 4 differ/);
  });
});
