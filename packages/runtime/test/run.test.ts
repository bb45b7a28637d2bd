/** Running plans: what goes in, what comes out, in which order, and what is refused. */

import { createSymbol, GraphBuilder, symbolDim, Tensor, TensorwrightError, tensorType } from '@tensorwright/core';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, type ExecutionContext, Runtime } from '../src/index.js';
import { dense, denseExample } from './support/examples.js';
import { handMade, planBytes } from './support/hand-made.js';

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-run-'));
let plan: Uint8Array;
let engine: Engine;
let context: ExecutionContext;

beforeAll(async () => {
  plan = planBytes(await denseExample());
  engine = await Runtime.load(plan);
  context = engine.createContext();
});

afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true });
});

const x = (rows: number): Tensor =>
  new Tensor(
    'float32',
    Float32Array.from({ length: rows * 3 }, (_, i) => i + 1),
    [rows, 3],
  );
const numbers = (t: Tensor | undefined): number[] => [...(t!.data as Float32Array)];

async function codeAndMessage(run: () => Promise<unknown>): Promise<[string, string]> {
  try {
    await run();
  } catch (error) {
    if (TensorwrightError.is(error)) return [error.code, error.message];
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('an engine', () => {
  test('describes its inputs and outputs', () => {
    expect(engine.inputs).toEqual([
      {
        name: 'x',
        dtype: 'float32',
        dims: ['batch', 3],
        type: 'float32[batch, 3]',
        profiles: [
          { min: [1, 3], opt: [2, 3], max: [4, 3] },
          { min: [6, 3], opt: [6, 3], max: [8, 3] },
        ],
      },
    ]);
    expect(engine.outputs.map((o) => o.type)).toEqual(['float32[batch, 2]', 'float32[2]']);
  });

  test('inspects as plain data', () => {
    const inspection = JSON.parse(JSON.stringify(engine.inspect())) as ReturnType<Engine['inspect']>;
    expect(inspection.layers.map((l) => [l.name, l.backend, l.kernel])).toEqual([
      ['dot_0', 'reference', 'reference'],
      ['add_1', 'reference', 'reference'],
      ['relu_2', 'reference', 'reference'],
      ['cast_3', 'reference', 'reference'],
    ]);
    expect(inspection.layers[0]).toMatchObject({
      origins: ['/dot'],
      weightBytes: 24,
      inputs: [
        { type: 'float32[batch, 3]', storage: 'input' },
        { type: 'float32[3, 2]', bytes: 24 },
      ],
    });
  });

  test('loads from a path, a URL and a plan object', async () => {
    const path = join(folder, 'a.plan');
    writeFileSync(path, plan);
    for (const from of [path, pathToFileURL(path), { toBytes: () => Promise.resolve(plan) }]) {
      await using loaded = await Runtime.load(from);
      await using c = loaded.createContext();
      expect(numbers((await c.run({ x: x(2) }))['y'])).toEqual(dense([1, 2, 3, 4, 5, 6]));
    }
  });

  test.each<[string, object, RegExp]>([
    [
      'a misspelt option',
      { thread: 2 },
      /unknown option 'thread'; known: threads, device, backends, verify, allowCodeFromPlan, signal, logger/,
    ],
    ['threads', { threads: 0 }, /'threads' must be an integer from 1 to 1024/],
    ['verify', { verify: 'maybe' }, /'checksum' or 'none'/],
  ])('refuses %s', async (_, options, message) => {
    await expect(Runtime.load(plan, options)).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
      message: expect.stringMatching(message),
    });
  });

  test('does not load what is not asked for', async () => {
    await expect(Runtime.load(plan, { backends: [{ name: 'other' } as never] })).resolves.toBeDefined();
  });
});

describe('inputs', () => {
  test.each<[string, Record<string, unknown>, string, RegExp]>([
    ['an unknown name', { x: x(2), z: x(2) }, 'ERR_INVALID_ARGUMENT', /unknown input 'z'; the engine's inputs are 'x'/],
    ['a missing one', {}, 'ERR_INVALID_ARGUMENT', /input 'x' is missing; expected float32\[batch, 3\]/],
    [
      'another dtype',
      { x: new Tensor('float64', [1, 2, 3], [1, 3]) },
      'ERR_DTYPE_MISMATCH',
      /input 'x': expected float32\[batch, 3\], received float64/,
    ],
    ['no tensor', { x: [1, 2, 3] }, 'ERR_DTYPE_MISMATCH', /input 'x': expected a Tensor float32\[batch, 3\]/],
    [
      'another rank',
      { x: new Tensor('float32', [1, 2, 3]) },
      'ERR_SHAPE_MISMATCH',
      /received float32\[3\]: rank 1 instead of 2/,
    ],
    [
      'another extent',
      { x: new Tensor('float32', [1, 2], [1, 2]) },
      'ERR_SHAPE_MISMATCH',
      /received float32\[1, 2\]: axis 1 must be 3/,
    ],
    ['an extent beyond its symbol', { x: x(9) }, 'ERR_SHAPE_MISMATCH', /axis 0 \(batch\) must be from 1 to 8/],
    [
      'a shape between the profiles',
      { x: x(5) },
      'ERR_SHAPE_MISMATCH',
      /no profile allows this shape; they allow \[1, 3\] … \[4, 3\] or \[6, 3\] … \[8, 3\]/,
    ],
  ])('%s', async (_, inputs, code, message) => {
    const [received, text] = await codeAndMessage(() => context.run(inputs as Record<string, Tensor>));
    expect(received).toBe(code);
    expect(text).toMatch(message);
  });

  test('a chosen profile is the only one', async () => {
    await using second = engine.createContext({ profile: 1 });
    expect((await second.run({ x: x(6) }))['y']!.dims).toEqual([6, 2]);
    await expect(second.run({ x: x(2) })).rejects.toThrow(/the profile allows \[6, 3\] … \[8, 3\]/);
    expect(() => engine.createContext({ profile: 2 })).toThrow(/index of a profile, 0 to 1/);
  });

  test('a symbol has one value', async () => {
    const b = new GraphBuilder();
    const n = symbolDim(createSymbol('n'));
    const p = b.input('p', tensorType('float32', [n]));
    const q = b.input('q', tensorType('float32', [n]));
    const sum = await handMade(
      { inputs: [p, q], outputs: [b.op('add', [p, q])] },
      { inputs: ['p', 'q'], outputs: ['sum'] },
    );
    await using e = await Runtime.load(planBytes(sum));
    await using c = e.createContext();
    expect(
      numbers((await c.run({ p: new Tensor('float32', [1, 2]), q: new Tensor('float32', [3, 4]) }))['sum']),
    ).toEqual([4, 6]);
    await expect(c.run({ p: new Tensor('float32', [1, 2]), q: new Tensor('float32', [3]) })).rejects.toThrow(
      /input 'q'.*axis 0 \(n\) must be 2, as in input 'p'/,
    );
  });

  test('tensors of another copy of the core package', async () => {
    const { dtype, dims, data } = x(1);
    const foreign: unknown = { dtype, dims, data };
    expect(numbers((await context.run({ x: foreign as Tensor }))['y'])).toEqual(dense([1, 2, 3]));
  });
});

describe('outputs', () => {
  test('are written where they are wanted', async () => {
    const y = Tensor.zeros('float32', [2, 2]);
    const results = await context.run({ x: x(2) }, { outputs: { y } });
    expect(results['y']).toBe(y);
    expect(numbers(y)).toEqual(dense([1, 2, 3, 4, 5, 6]));
  });

  test.each<[string, Record<string, unknown>, string, RegExp]>([
    [
      'an unknown name',
      { z: Tensor.zeros('float32', [2, 2]) },
      'ERR_INVALID_ARGUMENT',
      /unknown output 'z'; the engine's outputs are 'y', 'shape'/,
    ],
    [
      'another dtype',
      { y: Tensor.zeros('int32', [2, 2]) },
      'ERR_DTYPE_MISMATCH',
      /output 'y': expected a Tensor float32\[batch, 2\], received int32/,
    ],
    [
      'another shape',
      { y: Tensor.zeros('float32', [3, 2]) },
      'ERR_SHAPE_MISMATCH',
      /output 'y': expected \[2, 2\], received \[3, 2\]/,
    ],
  ])('%s', async (_, outputs, code, message) => {
    const [received, text] = await codeAndMessage(() =>
      context.run({ x: x(2) }, { outputs: outputs as Record<string, Tensor> }),
    );
    expect(received).toBe(code);
    expect(text).toMatch(message);
  });

  test('never share memory with inputs, weights or each other', async () => {
    const b = new GraphBuilder();
    const input = b.input('x', tensorType('float32', [4]));
    const flat = b.op('reshape', [input], { dims: [2, 2] });
    const weights = b.constant(new Tensor('float32', [1, 2, 3, 4]));
    const made = await handMade(
      { inputs: [input], outputs: [input, flat, weights, weights] },
      { inputs: ['x'], outputs: ['same', 'flat', 'w', 'again'] },
    );
    await using e = await Runtime.load(planBytes(made));
    await using c = e.createContext();
    const given = new Tensor('float32', [5, 6, 7, 8]);
    for (let round = 0; round < 2; round++) {
      const results = await c.run({ x: given });
      expect([
        numbers(results['same']),
        numbers(results['flat']),
        numbers(results['w']),
        numbers(results['again']),
      ]).toEqual([
        [5, 6, 7, 8],
        [5, 6, 7, 8],
        [1, 2, 3, 4],
        [1, 2, 3, 4],
      ]);
      for (const t of Object.values(results)) (t.data as Float32Array).fill(Math.random());
    }
  });
});

describe('a context', () => {
  test('runs synchronously', () => {
    expect(numbers(context.runSync({ x: x(2) })['y'])).toEqual(dense([1, 2, 3, 4, 5, 6]));
  });

  test('takes overlapping runs in order', async () => {
    const order: number[] = [];
    await Promise.all(
      [1, 2, 3, 4].map((rows) => context.run({ x: x(rows) }).then((r) => order.push(r['y']!.dims[0]!))),
    );
    expect(order).toEqual([1, 2, 3, 4]);
  });

  test('goes on after a run has failed', async () => {
    const bad = context.run({ x: x(5) });
    const good = context.run({ x: x(1) });
    await expect(bad).rejects.toThrow();
    expect(numbers((await good)['y'])).toEqual(dense([1, 2, 3]));
  });

  test('refuses to be asked in the middle of a run', async () => {
    const run = context.run({ x: x(1) });
    expect(context.busy).toBe(true);
    expect(() => context.runSync({ x: x(1) })).toThrow(/a run of this context is in progress/);
    expect(() => context.memory()).toThrow(/a run of this context is in progress/);
    await run;
    expect(context.busy).toBe(false);
  });

  test('many of them run at once', async () => {
    const contexts = Array.from({ length: 5 }, () => engine.createContext());
    const results = await Promise.all(contexts.map((c, i) => c.run({ x: x((i % 4) + 1) })));
    results.forEach((r, i) => expect(r['y']!.dims[0]).toBe((i % 4) + 1));
    await Promise.all(contexts.map((c) => c.close()));
  });

  test('profiles its layers', async () => {
    await using c = engine.createContext();
    expect(c.profile().map((l) => l.calls)).toEqual([0, 0, 0, 0]);
    c.setProfiling(true);
    await c.run({ x: x(1) });
    c.runSync({ x: x(1) });
    expect(c.profile().map((l) => [l.name, l.calls, l.microseconds > 0])).toEqual([
      ['dot_0', 2, true],
      ['add_1', 2, true],
      ['relu_2', 2, true],
      ['cast_3', 2, true],
    ]);
    expect(engine.inspect().layers[0]!.profile!.calls).toBe(2);
    c.setProfiling(false);
    await c.run({ x: x(1) });
    expect(c.profile()[0]!.calls).toBe(2);
    c.setProfiling(true);
    expect(c.profile()[0]!.calls).toBe(0);
  });
});

describe('ending', () => {
  test('the loading of a plan', async () => {
    const reason = new Error('enough');
    await expect(Runtime.load(plan, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const path = join(folder, 'ended.plan');
    writeFileSync(path, plan);
    const loading = Runtime.load(path, { signal: controller.signal });
    controller.abort(reason);
    await expect(loading).rejects.toBe(reason);
    await using loaded = await Runtime.load(path, { signal: new AbortController().signal });
    expect(loaded.name).toBe('hand-made');
  });

  test('a signal that has aborted', async () => {
    const reason = new Error('enough');
    await expect(context.run({ x: x(1) }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('a signal during the run', async () => {
    const controller = new AbortController();
    const run = context.run({ x: x(1) }, { signal: controller.signal });
    controller.abort('stop');
    await expect(run).rejects.toBe('stop');
    expect(numbers((await context.run({ x: x(1) }))['y'])).toEqual(dense([1, 2, 3]));
  });

  test('a signal while the run waits', async () => {
    const controller = new AbortController();
    const first = context.run({ x: x(1) });
    const waiting = context.run({ x: x(2) }, { signal: controller.signal });
    const last = context.run({ x: x(3) });
    controller.abort('never mind');
    await expect(waiting).rejects.toBe('never mind');
    expect((await first)['y']!.dims).toEqual([1, 2]);
    expect((await last)['y']!.dims).toEqual([3, 2]);
  });

  test('close finishes the run in progress and refuses the others', async () => {
    const c = engine.createContext();
    const running = c.run({ x: x(1) });
    const waiting = c.run({ x: x(1) });
    const closed = c.close();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    expect(numbers((await running)['y'])).toEqual(dense([1, 2, 3]));
    await closed;
    await c.close();
    await expect(c.run({ x: x(1) })).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    expect(() => c.runSync({ x: x(1) })).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
    expect(() => c.memory()).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
  });

  test('closing an engine closes its contexts', async () => {
    const e = await Runtime.load(plan);
    const c = e.createContext();
    const running = c.run({ x: x(1) });
    await e.close();
    await e.close();
    expect(numbers((await running)['y'])).toEqual(dense([1, 2, 3]));
    await expect(c.run({ x: x(1) })).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    expect(() => e.createContext()).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
  });
});
