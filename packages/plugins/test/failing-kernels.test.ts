/** Plugins whose kernels hang or fault: what a build says of them. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder, type Plan } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { definePlugin, type Plugin } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it, vi } from 'vitest';
import { isEmulated } from '../../backend-cuda/test/support/emulator-play.js';

vi.setConfig({ testTimeout: 60_000 });

/** Copies four elements; in the other ways it waits for ever, or writes where nobody may. */
function copyPlugin(name: string, tactics: readonly string[]): Plugin<readonly ['x'], readonly ['y']> {
  return definePlugin({
    name,
    inputs: ['x'],
    outputs: ['y'],
    infer: ({ inputs: { x } }) => ({ y: x }),
    cuda: {
      source: `
__global__ void right(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
__global__ void hangs(const float* x, float* y) { for (volatile int i = 0; i == 0;) y[threadIdx.x] = x[threadIdx.x]; }
__global__ void faults(const float* x, float* y) { *(volatile float*)8 = x[threadIdx.x]; }`,
      tactics,
      launches: ({ inputs: { x }, outputs: { y }, tactic }) => [
        { kernel: tactic, grid: 1, block: 4, arguments: [x, y] },
      ],
    },
  });
}

async function build(plugin: Plugin<readonly ['x'], readonly ['y']>): Promise<Plan> {
  const n = new NetworkDefinition();
  n.markOutput(plugin.addTo(n, { x: n.addInput('x', 'float32', [4]) }, {}, { name: 'copied' }).y, 'y');
  return new Builder().build(n.toNetwork(), { backends: ['cuda', 'cpu'], tacticTimeoutMs: 4000 });
}

// A kernel that never ends may keep a real device from its other users.
describe.skipIf(cudaBackend.device() === undefined || !isEmulated)('a kernel of a plugin', () => {
  it('that fails is dropped where another way is left', async () => {
    const plan = await build(copyPlugin('SometimesFails', ['faults', 'right']));
    expect(plan.header.report.dropped).toMatchObject([
      { node: 'copied', tactic: 'cuda.provided.SometimesFails@1.faults', code: 'ERR_DEVICE' },
    ]);
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const x = new Tensor('float32', Float32Array.of(1, 2, 3, 4), [4]);
    expect((await context.run({ x }))['y']!.data).toEqual(x.data);
  });

  it('that hangs ends the build, named, where it is the only one', async () => {
    await expect(build(copyPlugin('AlwaysHangs', ['hangs']))).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: "plugin AlwaysHangs 1: none of its kernels works for 'copied': it did not end within 4 s",
    });
  });

  it('that does not compile names the plugin', async () => {
    await expect(build(copyPlugin('NotThere', ['missing']))).rejects.toMatchObject({
      code: 'ERR_COMPILATION',
      message: expect.stringMatching(/^plugin NotThere 1: [^]*missing/) as string,
    });
  });

  it('that cannot be described names the function', async () => {
    const throwing = definePlugin({
      name: 'Throwing',
      inputs: ['x'],
      outputs: ['y'],
      infer: ({ inputs: { x } }) => ({ y: x }),
      cuda: {
        source: '',
        launches: () => {
          throw new RangeError('no such thing');
        },
      },
    });
    await expect(build(throwing)).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: 'plugin Throwing 1: cuda.launches threw: no such thing',
    });
  });

  it.each([
    ['a file that there is not', { uses: ['sort', 'nope'] }, "cuda.uses names 'nope', which is no file"],
    ['a file of another folder', { uses: ['../stem'] }, "cuda.uses names '../stem', which is no file"],
    ['no launches', { launches: () => [] }, 'cuda.launches gives no launch'],
    [
      'an argument of another kind',
      { launches: () => [{ kernel: 'k', grid: 1, block: 1, arguments: [1n] }] },
      "kernel 'k': argument 0 is no operand",
    ],
  ])('that names %s is refused', async (title, change, message) => {
    const plugin = definePlugin({
      name: title.replaceAll(' ', '_'),
      inputs: ['x'],
      outputs: ['y'],
      infer: ({ inputs: { x } }) => ({ y: x }),
      cuda: {
        source: '',
        launches: () => [{ kernel: 'k', grid: 1, block: 1, arguments: [] }],
        ...(change as object),
      },
    });
    await expect(build(plugin)).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringContaining(message) as string,
    });
  });
});
