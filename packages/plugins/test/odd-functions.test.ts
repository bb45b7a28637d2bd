/** Functions of plugins that do what nobody expects: each is an error with the plugin's name, and the process goes on. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { addDims, NetworkDefinition, Tensor, type TensorwrightError } from '@tensorwright/core';
import {
  arg,
  definePlugin,
  field,
  type KernelTensor,
  type Launch,
  pluginBackend,
  PluginRegistry,
} from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it, vi } from 'vitest';
import { plainText } from '../src/plain-text.js';

vi.setConfig({ testTimeout: 60_000 });

let made = 0;
/** The error of a plugin of one input and output, in a network that is built and run on two elements. */
async function failure(
  change: object,
  backends: readonly string[],
  dims: readonly (number | string)[] = [2],
): Promise<TensorwrightError> {
  const plugin = definePlugin({
    name: `Odd${String(made++)}`,
    fields: { alpha: field.float(1) },
    inputs: ['x'],
    outputs: ['y'],
    infer: ({ inputs: { x } }) => ({ y: x }),
    ...change,
  });
  try {
    const n = new NetworkDefinition();
    n.markOutput(plugin.addTo(n, { x: n.addInput('x', 'float32', dims) }).y, 'y');
    const plan = await new Builder().build(n.toNetwork(), { backends });
    const registry = new PluginRegistry().register(plugin);
    await using engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(registry)] });
    await using context = engine.createContext();
    const size = dims[0] === 0 ? 0 : 2;
    await context.run({ x: new Tensor('float32', new Float32Array(size), [size]) });
  } catch (error) {
    expect((error as TensorwrightError).message).toContain(plugin.key.name);
    return error as TensorwrightError;
  }
  throw new Error('nothing went wrong');
}

const throwing = (what: unknown) => (): never => {
  throw what;
};
const rejecting = async (): Promise<never> => Promise.reject(new Error('too late'));
const odd: [string, () => unknown, RegExp][] = [
  ['throws a text', throwing('out of luck'), /threw: out of luck$/],
  ['throws nothing', throwing(undefined), /threw: undefined$/],
  ['throws null', throwing(null), /threw: null$/],
  ['throws a symbol', throwing(Symbol('s')), /threw: Symbol\(s\)$/],
  ['throws what has no text', throwing(Object.create(null)), /threw: what it threw is no text$/],
  ['throws an error of ours', () => new Tensor('float32', new Float32Array(1), [2]), /threw: /],
  [
    'never ends its promise',
    async () => new Promise(() => undefined),
    /gives a promise: it must give its result at once/,
  ],
  ['rejects its promise', rejecting, /gives a promise: it must give its result at once/],
];

describe.each(odd)('a function that %s', (_, f, message) => {
  it('is named as infer', async () => {
    const error = await failure({ infer: f, cpu: () => ({}) }, ['cpu']);
    expect(error).toMatchObject({ code: 'ERR_PLUGIN', message: expect.stringMatching(message) as string });
  });
  it('is named as the function for the processor', async () => {
    const error = await failure({ cpu: f }, ['cpu']);
    expect(error).toMatchObject({ code: 'ERR_PLUGIN', message: expect.stringMatching(message) as string });
  });
  it('is named as lower', async () => {
    const error = await failure({ infer: undefined, lower: f }, ['cpu']);
    expect(error.code).toMatch(/^ERR_/);
  });
});

it.each([
  ['nothing', undefined],
  ['null', null],
  ['a number', 7],
  ['NaN', { y: { dtype: 'float32', dims: [NaN] } }],
  ['half an element', { y: { dtype: 'float32', dims: [0.5] } }],
  ['more than memory', { y: { dtype: 'float32', dims: [2 ** 60] } }],
  ['null as a shape', { y: null }],
])('infer may not give %s', async (_, result) => {
  const error = await failure({ infer: () => result, cpu: () => ({}) }, ['cpu']);
  expect(error).toMatchObject({
    code: 'ERR_PLUGIN',
    message: expect.stringContaining("infer gives no dtype and extents of output 'y'") as string,
  });
});

it.each([
  ['nothing', undefined, /output 'y' is missing/],
  ['null', null, /output 'y' is missing/],
  ['null as a tensor', { y: null }, /output 'y' is missing/],
  ['a number as a tensor', { y: 7 }, /output 'y' is wrong/],
  ['another dtype', { y: new Int32Array(2) }, /output 'y' is wrong/],
  ['too many elements', { y: new Float32Array(3) }, /output 'y' is wrong/],
])('a function for the processor may not give %s', async (_, result, message) => {
  const error = await failure({ cpu: () => result }, ['cpu']);
  expect(error).toMatchObject({ code: 'ERR_PLUGIN', message: expect.stringMatching(message) as string });
});

describe.skipIf(cudaBackend.device() === undefined)('a launch', () => {
  const launch = (
    change: object,
    dims: readonly (number | string)[] = [2],
    more: object = {},
  ): Promise<TensorwrightError> => {
    const launches = ({ inputs: { x }, outputs: { y } }: { inputs: { x: never }; outputs: { y: never } }): Launch[] => [
      { kernel: 'copy', grid: 1, block: 32, arguments: [x, y, 2], ...change },
    ];
    const source = `
__global__ void copy(const float* x, float* y, int n) { if (threadIdx.x < n) y[threadIdx.x] = x[threadIdx.x]; }`;
    return failure({ cuda: { source, launches, ...more } }, ['cuda', 'cpu'], dims);
  };

  it.each([
    ['a grid of NaN', { grid: NaN }, 'a grid has extents of 0 or more blocks, not NaN x 1 x 1'],
    ['an endless grid', { grid: [1, Infinity] }, 'a grid has extents of 0 or more blocks, not 1 x Infinity x 1'],
    ['a grid below zero', { grid: -1 }, 'a grid has extents of 0 or more blocks, not -1 x 1 x 1'],
    ['half a block', { grid: 0.5 }, 'a grid has extents of 0 or more blocks, not 0.5 x 1 x 1'],
    ['no grid', { grid: undefined }, 'a grid has extents of 0 or more blocks, not undefined x 1 x 1'],
    ['no blocks', { grid: 0 }, "cuda.launches launches nothing: the grid of 'copy' has no blocks, though no operand"],
    ['no threads', { block: 0 }, 'a block has 1 to 1024 threads, not 0 x 1 x 1'],
    ['too many threads', { block: [1024, 2] }, 'a block has 1 to 1024 threads, not 1024 x 2 x 1'],
    ['shared memory of NaN', { sharedBytes: NaN }, 'sharedBytes is NaN, which is no number of bytes'],
    ['a cluster of none', { cluster: [0] }, 'a cluster has 1 or more blocks each way, not 0 x 1 x 1'],
    ['no arguments', { arguments: undefined }, 'its arguments must be a list'],
    ['no kernel', { kernel: undefined }, 'a launch names a kernel'],
  ])('with %s is refused', async (_, change, message) => {
    expect(await launch(change)).toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringContaining(message) as string,
    });
  });

  it.each([
    ['NaN', () => NaN, 'cuda.workspaceBytes gives NaN, which is no number of bytes'],
    ['less than none', () => -1, 'cuda.workspaceBytes gives -1, which is no number of bytes'],
    ['a promise', rejecting, 'cuda.workspaceBytes gives a promise'],
  ])('with scratch memory of %s is refused', async (_, bytes, message) => {
    const error = await launch({}, [2], { workspaceBytes: bytes });
    expect(error).toMatchObject({ code: 'ERR_PLUGIN', message: expect.stringContaining(message) as string });
  });

  it('has room for its scratch memory, or says whose it is', async () => {
    const error = await launch({}, [2], { workspaceBytes: () => 2 ** 50 });
    expect(['ERR_PLUGIN', 'ERR_OUT_OF_MEMORY']).toContain(error.code);
  });

  it.each<[string, number | string, (x: KernelTensor) => Launch[]]>([
    ['of nothing where an operand is empty', 0, (x) => [{ kernel: 'fill', grid: x.size, block: 1, arguments: [x] }]],
    [
      'of nothing beside another one',
      2,
      (x) => [
        { kernel: 'fill', grid: 0, block: 1, arguments: [x] },
        { kernel: 'fill', grid: x.size, block: 1, arguments: [x] },
      ],
    ],
    ['of a kernel without arguments', 2, () => [{ kernel: 'idle', grid: 1, block: 1, arguments: [] }]],
    [
      'of nothing for some extents of the run',
      'n',
      (x) => [{ kernel: 'fill', grid: addDims(x.size, -2), block: 1, arguments: [x] }],
    ],
  ])('may be one %s', async (_, extent, launches) => {
    const plugin = definePlugin({
      name: `Idle${String(made++)}`,
      inputs: ['x'],
      outputs: ['y'],
      infer: ({ inputs: { x } }) => ({ y: x }),
      cuda: {
        source: '__global__ void fill(const float*) {} __global__ void idle() {}',
        launches: ({ inputs: { x } }) => launches(x),
      },
    });
    const n = new NetworkDefinition();
    n.markOutput(plugin.addTo(n, { x: n.addInput('x', 'float32', [extent]) }).y, 'y');
    const plan = await new Builder().build(n.toNetwork(), { backends: ['cuda', 'cpu'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const size = extent === 0 ? 0 : 2;
    const { y } = await context.run({ x: new Tensor('float32', new Float32Array(size), [size]) });
    expect(y!.dims).toEqual([size]);
  });
});

it('launches that differ in numbers that JSON does not know have different identities', () => {
  const numbers = [NaN, Infinity, -Infinity, 0, -0, null, 'NaN', 1];
  const texts = numbers.map((n) => plainText([{ grid: n }]));
  expect(new Set(texts).size).toBe(numbers.length);
  const tensors = [NaN, Infinity].map((v) => plainText(new Tensor('float32', Float32Array.of(v), [1])));
  expect(new Set(tensors).size).toBe(2);
  expect(arg.float(-0)).not.toEqual(arg.float(0));
  // As float32 has them.
  expect(arg.float(-1e-50)).toEqual(arg.float(-0));
  expect(arg.float(1e39)).toEqual(arg.float(Infinity));
});
