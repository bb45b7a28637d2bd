import { Builder, type Plan } from '@tensorwright/builder';
import {
  type AttributeValue,
  type Candidate,
  type DType,
  type GraphBuilder,
  NetworkDefinition,
  registerBackend,
  type TacticSource,
  Tensor,
  type Value,
} from '@tensorwright/core';
import { loadNative } from '@tensorwright/native';
import { Runtime } from '@tensorwright/runtime';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { compare, type Comparison, hasDevice, type Input } from './compare.js';
import { isEmulated, play, traced } from './support/emulator-play.js';

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-cudnn-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const status = loadNative().cuda.status();
const hasLibrary = status.available && status.cudnn.version !== undefined;

const ofLibrary = (c: Candidate): boolean => c.source === 'cudnn';

/** The library's first choice where `choice` says no other; fails where it has none. */
async function convolution(
  inputs: readonly Input[],
  graph: Comparison['graph'],
  { choice = 0, ...rest }: Partial<Comparison> & { choice?: number } = {},
): Promise<void> {
  let offered = 0;
  await compare({
    inputs,
    graph,
    pick: (c) => ofLibrary(c) && offered++ === choice,
    steps: ['cuda.cudnn'],
    ...rest,
  });
  expect(offered, 'a candidate of cuDNN').toBeGreaterThan(choice);
}

const attributes = (rank: number, more: Record<string, AttributeValue> = {}): Record<string, AttributeValue> => ({
  strides: new Array<number>(rank).fill(1),
  dilations: new Array<number>(rank).fill(1),
  pads: new Array<number>(2 * rank).fill(0),
  group: 1,
  ...more,
});

const images = (dtype: DType, ...dims: number[][]): Input[] => dims.map((d) => ({ dtype, dims: d }));

describe.skipIf(!hasDevice || !hasLibrary)('convolutions by cuDNN', () => {
  it.each([
    ['float16', [2, 16, 9, 7], [24, 16, 3, 3], { pads: [1, 1, 1, 1] }],
    ['bfloat16', [2, 16, 9, 7], [24, 16, 3, 3], { pads: [1, 1, 1, 1], strides: [2, 2] }],
    ['float32', [3, 5, 9, 7], [7, 5, 3, 3], { pads: [1, 1, 1, 1], dilations: [2, 1] }],
    ['float32', [1, 3, 11, 13], [4, 3, 7, 7], { pads: [3, 3, 3, 3], strides: [2, 2] }],
    ['float32', [2, 6, 5, 6], [6, 1, 3, 3], { pads: [1, 1, 1, 1], group: 6 }],
    ['float16', [2, 32, 5, 6], [16, 8, 3, 3], { pads: [1, 1, 1, 1], group: 4 }],
    ['float32', [2, 4, 6, 6], [5, 4, 2, 2], { pads: [0, 1, 1, 0] }],
    ['float16', [2, 8, 5, 6], [8, 8, 1, 1], {}],
    ['float32', [2, 4, 12], [6, 4, 5], { pads: [2, 2], strides: [3] }],
    ['float32', [1, 4, 4, 5, 6], [6, 4, 2, 3, 3], { pads: [0, 1, 1, 1, 1, 1] }],
  ] as [DType, number[], number[], Record<string, AttributeValue>][])('%s %j by %j, %j', (dtype, x, w, more) =>
    convolution(images(dtype, x, w), (b, image, filters) =>
      b.op('conv', [image, filters], attributes(x.length - 2, more)),
    ),
  );

  it.each([0, 1, 2, 3])('takes choice %i of the library', (choice) =>
    convolution(images('float16', [2, 16, 5, 6], [8, 16, 3, 3]), (b, x, w) => b.op('conv', [x, w], attributes(2)), {
      choice,
    }),
  );

  it('rounds operands to tf32 where that is asked for', () =>
    convolution(
      images('float32', [2, 16, 5, 6], [8, 16, 3, 3]),
      (b, x, w) => b.op('conv', [x, w], attributes(2, { tf32: true })),
      { tolerance: 1e-3 },
    ));

  it('turns filters that are known', () => {
    const dims = [6, 4, 3, 2];
    const known = Float32Array.from({ length: 144 }, (_, i) => Math.sin(i));
    return convolution(images('float32', [2, 4, 5, 6]), (b, x) =>
      b.op('conv', [x, b.constant(new Tensor('float32', known, dims))], attributes(2, { pads: [1, 0, 1, 1] })),
    );
  });

  const add = (b: GraphBuilder, v: Value, w: Value): Value => b.op('add', [v, w]);
  const relu = (b: GraphBuilder, v: Value): Value => b.op('relu', [v]);
  it.each([
    ['relu', [], (b, v) => relu(b, v)],
    ['a list of channels', [[8, 1, 1]], (b, v, [bias]) => relu(b, add(b, bias!, v))],
    ['a residual', [[2, 8, 5, 6]], (b, v, [residual]) => add(b, v, residual!)],
    ['relu before a residual', [[2, 8, 5, 6]], (b, v, [residual]) => add(b, relu(b, v), residual!)],
    [
      'relu of all',
      [
        [2, 8, 5, 6],
        [8, 1, 1],
      ],
      (b, v, [r, bias]) => relu(b, add(b, r!, add(b, v, bias!))),
    ],
    ['a scale', [[1, 8, 1, 1]], (b, v, [scale]) => b.op('mul', [v, scale!])],
    ['silu', [], (b, v) => b.op('mul', [v, b.op('sigmoid', [v])])],
    ['relu with a bound', [], (b, v) => b.op('min', [relu(b, v), b.scalar(0.5, 'float32')])],
    ['hardSwish', [], (b, v) => b.op('hardSwish', [v])],
    ['gelu', [], (b, v) => b.op('gelu', [v])],
    ['gelu with tanh', [], (b, v) => b.op('gelu', [v], { approximate: 'tanh' })],
    ['leakyRelu', [], (b, v) => b.op('leakyRelu', [v], { alpha: 0.1 })],
  ] as [string, number[][], (b: GraphBuilder, v: Value, sides: Value[]) => Value][])(
    'computes %s along with the convolution and its bias',
    (_, sides, epilogue) =>
      convolution(images('float32', [2, 6, 5, 6], [8, 6, 3, 3], [8], ...sides), (b, x, w, bias, ...rest) =>
        epilogue(b, b.op('conv', [x, w, bias], attributes(2, { pads: [1, 1, 1, 1] })), rest),
      ),
  );

  it('rounds once, after all maps', () =>
    convolution(images('float16', [2, 16, 5, 6], [8, 16, 3, 3], [8], [2, 8, 5, 6]), (b, x, w, bias, residual) =>
      relu(b, add(b, b.op('conv', [x, w, bias], attributes(2, { pads: [1, 1, 1, 1] })), residual)),
    ));

  it('takes extents that only the run knows, by another engine where need be', async () => {
    const dims = [
      [3, 6, 7, 6],
      [8, 6, 3, 3],
      [3, 8, 7, 6],
    ];
    const symbols = [['n', undefined, 'h'], undefined, ['n', undefined, 'h']];
    // The choice is made for an even number of images, and there are three.
    await convolution(
      dims.map((d, i) => ({ dtype: 'float32' as const, dims: d, ...(symbols[i] && { symbols: symbols[i] }) })),
      (b, x, w, residual) => add(b, b.op('conv', [x, w], attributes(2, { pads: [1, 1, 1, 1] })), residual),
      { least: 1 },
    );
  });

  it('takes no images', () =>
    convolution(
      [
        { dtype: 'float32', dims: [0, 6, 5, 6], symbols: ['n'] },
        { dtype: 'float32', dims: [8, 6, 3, 3] },
      ],
      (b, x, w) => b.op('conv', [x, w], attributes(2)),
    ));

  it('takes an engine of the library where that of the plan is none', () =>
    compare({
      inputs: images('float32', [2, 6, 5, 6], [8, 6, 3, 3]),
      graph: (b, x, w) => b.op('conv', [x, w], attributes(2)),
      force: { tactic: 'cuda.cudnn', parameters: { engine: 99 } },
    }));

  it('writes into the slot of a concat', () =>
    compare({
      inputs: images('float32', [2, 6, 5, 6], [8, 6, 3, 3], [4, 6, 3, 3]),
      graph: (b, x, w, v) => {
        const parts = [w, v].map((f) => b.op('conv', [x, f], attributes(2)));
        return b.op('concat', parts, { axis: 1 });
      },
      steps: ['cuda.cudnn', 'cuda.cudnn'],
      pick: ofLibrary,
    }));

  it.each([
    ['integers', 'int8', (b: GraphBuilder, v: Value) => v],
    ['float64', 'float64', (b: GraphBuilder, v: Value) => v],
    ['maps that it does not have', 'float32', (b: GraphBuilder, v: Value) => b.op('asinh', [v])],
    // The larger of infinity and of zero times it is anybody's guess.
    ['a slope of zero', 'float32', (b: GraphBuilder, v: Value) => b.op('leakyRelu', [v], { alpha: 0 })],
  ] as [string, DType, (b: GraphBuilder, v: Value) => Value][])('leaves %s to our own kernels', (_, dtype, after) =>
    compare({
      inputs: images(dtype, [2, 6, 5, 6], [8, 6, 3, 3]),
      graph: (b, x, w) => after(b, b.op('conv', [x, w], attributes(2))),
      pick: (c) => !ofLibrary(c) || expect.fail('a candidate of cuDNN'),
    }),
  );
});

describe.skipIf(!hasDevice || !hasLibrary)('plans that use cuDNN', () => {
  afterEach(() => {
    play('');
  });
  const needs = { of: cudaBackend.needs! };
  const build = async (tacticSources: readonly TacticSource[]): Promise<Plan> => {
    // Ours are left out where the library has a tactic.
    registerBackend({
      ...cudaBackend,
      needs: (kernels) => needs.of(kernels),
      candidates: (node, sources) => {
        const all = cudaBackend.candidates(node, sources);
        const library = all.filter(ofLibrary);
        return library.length > 0 ? library : all;
      },
    });
    const network = new NetworkDefinition();
    const x = network.addInput('x', 'float32', [2, 3, 8, 8]);
    const w = network.addInput('w', 'float32', [4, 3, 3, 3]);
    network.markOutput(network.addConvolution(x, w), 'y');
    return new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'], tacticSources });
  };
  const needsOf = (plan: Plan): readonly string[] => plan.header.backends.find((b) => b.name === 'cuda')!.needs;

  it('say so, and name the engine', async () => {
    const plan = await build(['cudnn']);
    expect(needsOf(plan)).toEqual(['cudnn 9']);
    const step = plan.header.program.steps.find((s) => s.kernel === 'cudnn')!;
    expect(step.attributes).toMatchObject({
      engine: expect.any(Number) as number,
      version: expect.any(String) as string,
    });
    const engine = await Runtime.load(await plan.toBytes());
    const context = engine.createContext();
    const [x, w] = [384, 108].map((count) => Float32Array.from({ length: count }, (_, i) => Math.cos(i)));
    const inputs = { x: new Tensor('float32', x!, [2, 3, 8, 8]), w: new Tensor('float32', w!, [4, 3, 3, 3]) };
    // From the second run on it is a recording that is played.
    const results = [await context.run(inputs), await context.run(inputs), await context.run(inputs)].map(
      ({ y }) => y!,
    );
    expect(results[0]!.dims).toEqual([2, 4, 6, 6]);
    for (const { data } of results.slice(1)) expect(data).toEqual(results[0]!.data);
    await context.close();
    await engine.close();
  });

  /** y = x by w, ones; n images, of which the first engine wants an even number. */
  const buildForMany = async (): Promise<Plan> => {
    registerBackend({
      ...cudaBackend,
      candidates: (node, sources) => {
        const all = cudaBackend.candidates(node, sources);
        const library = all.filter(ofLibrary);
        return library.length > 0 ? library : all;
      },
    });
    const network = new NetworkDefinition();
    const x = network.addInput('x', 'float32', ['n', 3, 4, 4]);
    network.markOutput(network.addConvolution(x, network.addInput('w', 'float32', [4, 3, 1, 1])), 'y');
    const profiles = [{ x: { min: [1, 3, 4, 4], opt: [2, 3, 4, 4], max: [64, 3, 4, 4] } }];
    // The first engine: times would choose another one now and then.
    return new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'], profiles, optimizationLevel: 0 });
  };
  const w = new Tensor('float32', new Float32Array(12).fill(1), [4, 3, 1, 1]);

  it.skipIf(!isEmulated)('are looked for again where the last search has failed', async () => {
    await using engine = await Runtime.load(await (await buildForMany()).toBytes());
    const contexts = Array.from({ length: 4 }, () => engine.createContext());
    const run = (n: number): Promise<unknown[]> => {
      const x = new Tensor('float32', new Float32Array(n * 48).fill(1), [n, 3, 4, 4]);
      return Promise.all(contexts.map(async (c) => (await c.run({ x, w })).y!.data.length).map((r) => r.catch(String)));
    };
    expect(await run(2)).toEqual([128, 128, 128, 128]);
    // Three images take another engine, and there is no memory to ask for one.
    play('cudnn:4003');
    for (const failure of await run(3)) expect(failure).toMatch('HOST_ALLOCATION_FAILED');
    expect(await run(4)).toEqual([256, 256, 256, 256]);
    play('');
    expect(await run(3)).toEqual([192, 192, 192, 192]);
  });

  it.skipIf(!isEmulated)('keep few of its plans, and none that nothing plays', async () => {
    const plan = await buildForMany();
    const events = { made: 0, destroyed: 0, lost: 0 };
    const count = async (work: () => Promise<unknown>): Promise<void> => {
      for (const line of await traced(join(folder, 'plans'), work)) {
        const [, event] = /^cudnn plan (\w+)$/.exec(line) ?? [];
        if (event) events[event as keyof typeof events]++;
      }
    };
    const engine = await Runtime.load(await plan.toBytes());
    const contexts = [engine.createContext(), engine.createContext()];
    // Two contexts at once, each size twice in a row: its run is recorded and played.
    const sizes = Array.from({ length: 40 }, (_, i) => 1 + i);
    await count(async () => {
      for (const n of [...sizes, ...sizes].flatMap((size) => [size, size, size])) {
        const image = new Tensor('float32', new Float32Array(n * 48).fill(n), [n, 3, 4, 4]);
        for (const { y } of await Promise.all(contexts.map((c) => c.run({ x: image, w }))))
          expect((y!.data as Float32Array).every((v) => v === 3 * n)).toBe(true);
      }
    });
    // One for both contexts, made again where it has gone; recordings hold eight more of each.
    expect(events.made).toBe(80);
    expect(events.made - events.destroyed).toBeLessThanOrEqual(32 + 16);
    await count(async () => {
      await engine.close();
    });
    expect(events).toEqual({ made: 80, destroyed: 80, lost: 0 });
  });

  it.skipIf(!isEmulated)('have room where one that was dropped wants more of it', async () => {
    await using engine = await Runtime.load(await (await buildForMany()).toBytes());
    await using context = engine.createContext({ graphs: false });
    await using others = engine.createContext();
    const image = (n: number): Tensor => new Tensor('float32', new Float32Array(n * 48).fill(n), [n, 3, 4, 4]);
    const expected = (await context.run({ x: image(50), w })).y;
    for (let n = 1; n <= 40; n++) await others.run({ x: image(n), w });
    play('workspace:1000000');
    expect((await context.run({ x: image(50), w })).y).toEqual(expected);
    play('');
  });

  it.each(['8', '10'])('are refused where version %s is needed', async (major) => {
    needs.of = () => [`cudnn ${major}`];
    const plan = await build(['cudnn']);
    await expect(Runtime.load(await plan.toBytes())).rejects.toMatchObject({
      code: 'ERR_BACKEND_UNAVAILABLE',
      message: expect.stringMatching(`the plan needs cudnn ${major}; this machine has 9\\.`) as string,
    });
    needs.of = cudaBackend.needs!;
  });

  it('are not made where it may not be used', async () => {
    const plan = await build(['cublasLt']);
    expect(needsOf(plan)).toEqual([]);
    expect(plan.header.program.steps.map((s) => s.kernel)).not.toContain('cudnn');
  });
});
