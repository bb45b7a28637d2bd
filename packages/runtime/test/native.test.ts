/** Plans with native segments: one call for all of a plan, and values carried between native steps and others. */

import { createSymbol, GraphBuilder, type PlanStep, symbolDim, Tensor, tensorType } from '@tensorwright/core';
import { loadNative } from '@tensorwright/native';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Runtime } from '../src/index.js';
import { type HandMade, handMade, type HandMadeOptions, planBytes } from './support/hand-made.js';

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-native-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function available(): boolean {
  try {
    loadNative();
    return true;
  } catch {
    return false;
  }
}

type Program = Parameters<NonNullable<HandMadeOptions['edit']>>[0];

const number = (p: Program, n: number): number => p.expressions.push([n]) - 1;
const ints = (t: Tensor | undefined): number[] => [...(t!.data as Float32Array)];

/** Turns a step into a native copy of its first operand, or of a view of it. */
function toCopy(p: Program, step: number, view?: Partial<PlanStep['inputs'][number]>): void {
  const { inputs, outputs, layer } = p.steps[step]!;
  p.steps[step] = { kernel: 'copy', attributes: {}, inputs: [{ ...inputs[0]!, ...view }], outputs, layer };
}

/** y = the columns of x in reverse, by native steps alone. */
async function nativeExample(): Promise<HandMade> {
  const b = new GraphBuilder();
  const batch = symbolDim(createSymbol('batch', { max: 1000 }));
  const x = b.input('x', tensorType('float32', [batch, 3]));
  return handMade(
    { inputs: [x], outputs: [b.op('neg', [x])] },
    {
      inputs: ['x'],
      outputs: ['y'],
      native: () => true,
      edit: (p) => {
        toCopy(p, 0, { offset: number(p, 2), dims: p.values[0]!.dims!, strides: [number(p, 3), number(p, -1)] });
      },
    },
  );
}

describe.skipIf(!available())('native plans (need the addon: npm run build)', () => {
  test('hand on strings, which they know nothing of', async () => {
    const b = new GraphBuilder();
    const batch = symbolDim(createSymbol('batch', { max: 1000 }));
    const s = b.input('s', tensorType('string', [batch]));
    const x = b.input('x', tensorType('float32', [batch]));
    const made = await handMade(
      { inputs: [s, x], outputs: [b.op('neg', [x]), s, b.constant(new Tensor('string', ['q']))] },
      {
        inputs: ['s', 'x'],
        outputs: ['y', 'same', 'known'],
        native: () => true,
        edit: (p) => {
          toCopy(p, 0);
        },
      },
    );
    await using engine = await Runtime.load(planBytes(made));
    await using context = engine.createContext();
    const inputs = { s: new Tensor('string', ['a', 'b']), x: new Tensor('float32', [1, 2]) };
    const { y, same, known } = await context.run(inputs);
    expect(ints(y)).toEqual([1, 2]);
    expect([same!.dtype, same!.dims, same!.data]).toEqual(['string', [2], ['a', 'b']]);
    expect([known!.dtype, known!.data]).toEqual(['string', ['q']]);
    expect(() => context.runSync(inputs)).toThrow('hands strings on');
  });

  test('run from a file and from bytes', async () => {
    const bytes = planBytes(await nativeExample());
    const path = join(folder, 'copy.plan');
    writeFileSync(path, bytes);
    for (const from of [path, bytes]) {
      await using engine = await Runtime.load(from, { threads: 2 });
      await using context = engine.createContext({ poison: true });
      const x = new Tensor('float32', [1, 2, 3, 4, 5, 6], [2, 3]);
      const { y } = await context.run({ x });
      expect([y!.dims, ints(y)]).toEqual([
        [2, 3],
        [3, 2, 1, 6, 5, 4],
      ]);
      expect(ints(context.runSync({ x: new Tensor('float32', [7, 8, 9], [1, 3]) })['y'])).toEqual([9, 8, 7]);
      const given = Tensor.zeros('float32', [2, 3]);
      expect((await context.run({ x }, { outputs: { y: given } }))['y']).toBe(given);
      expect(ints(given)).toEqual([3, 2, 1, 6, 5, 4]);
    }
  });

  test('profile and account for memory', async () => {
    await using engine = await Runtime.load(planBytes(await nativeExample()));
    await using context = engine.createContext();
    const x = new Tensor('float32', [1, 2, 3], [1, 3]);
    await context.run({ x });
    context.setProfiling(true);
    await context.run({ x });
    await context.run({ x });
    expect(context.profile()).toMatchObject([{ name: 'neg_0', backend: 'cpu', calls: 2 }]);
    context.setProfiling(false);
    context.setProfiling(true);
    expect(context.profile()[0]!.calls).toBe(0);
    expect(Object.keys(context.memory()).sort()).toEqual(['arena', 'device', 'graphs', 'heap', 'staging', 'workspace']);
  });

  test('reject with the reason of the signal', async () => {
    await using engine = await Runtime.load(planBytes(await nativeExample()));
    await using context = engine.createContext();
    const controller = new AbortController();
    const x = new Tensor('float32', [1, 2, 3], [1, 3]);
    const run = context.run({ x }, { signal: controller.signal });
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(run).rejects.toBe(reason);
    expect(ints((await context.run({ x }))['y'])).toEqual([3, 2, 1]);
  });

  test('a plan for another processor names what is missing', async () => {
    const made = await nativeExample();
    const needs = ['avx9'];
    const plan = planBytes({
      ...made,
      header: { ...made.header, backends: [{ name: 'cpu', version: '0.1.0', needs }] },
    });
    await expect(Runtime.load(plan)).rejects.toMatchObject({
      code: 'ERR_BACKEND_UNAVAILABLE',
      message: expect.stringMatching(/kernels need avx9; this processor has/),
      details: { missing: needs },
    });
  });

  test('values go to native steps and come back', async () => {
    const b = new GraphBuilder();
    const n = symbolDim(createSymbol('n'));
    const x = b.input('x', tensorType('float32', [n, 2]));
    const sign = b.op('neg', [x]);
    const middle = b.op('abs', [sign]);
    const out = b.op('neg', [middle]);
    const made = await handMade(
      { inputs: [x], outputs: [out, middle, x] },
      {
        inputs: ['x'],
        outputs: ['out', 'middle', 'same'],
        native: (step) => step === 1,
        edit: (p) => {
          // Native: the elements of each row in reverse.
          toCopy(p, 1, { offset: number(p, 1), dims: p.values[0]!.dims!, strides: [number(p, 2), number(p, -1)] });
        },
      },
    );
    await using engine = await Runtime.load(planBytes(made));
    await using context = engine.createContext({ poison: true });
    for (const rows of [2, 1, 3]) {
      const data = Array.from({ length: rows * 2 }, (_, i) => i + 1);
      const swapped = data.map((_, i) => data[i ^ 1]!);
      const results = await context.run({ x: new Tensor('float32', data, [rows, 2]) });
      expect([ints(results['out']), ints(results['middle']), ints(results['same'])]).toEqual([
        swapped,
        swapped.map((v) => -v),
        data,
      ]);
    }
    context.setProfiling(true);
    await context.run({ x: new Tensor('float32', [1, 2], [1, 2]) });
    expect(context.profile().map((l) => [l.backend, l.calls])).toEqual([
      ['reference', 1],
      ['cpu', 1],
      ['reference', 1],
    ]);
    context.setProfiling(false);
    expect(() => context.runSync({ x: new Tensor('float32', [1, 2], [1, 2]) })).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED' }),
    );
    expect(ints((await context.run({ x: new Tensor('float32', [1, 2], [1, 2]) }))['out'])).toEqual([2, 1]);
  });

  test('sizes that the data decides are known on both sides', async () => {
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', [5]));
    const where = b.op('nonZero', [x]);
    const copy = b.op('neg', [where]);
    const made = await handMade(
      { inputs: [x], outputs: [b.op('neg', [copy]), b.op('neg', [b.op('cast', [copy], { to: 'float32' })])] },
      {
        inputs: ['x'],
        outputs: ['indices', 'numbers'],
        native: (step) => step === 1,
        edit: (p) => {
          toCopy(p, 1);
        },
      },
    );
    await using engine = await Runtime.load(planBytes(made));
    await using context = engine.createContext({ poison: true });
    for (const data of [
      [0, 1, 0, 1, 1],
      [0, 0, 0, 0, 0],
      [1, 1, 1, 1, 1],
    ]) {
      const found = data.flatMap((v, i) => (v === 0 ? [] : [-i]));
      const { indices, numbers } = await context.run({ x: new Tensor('float32', data) });
      expect(Array.from(indices!.data as BigInt64Array, Number)).toEqual(found.map((v) => (v === 0 ? 0 : v)));
      expect(ints(numbers).map((v) => v + 0)).toEqual(found.map((v) => v + 0));
      expect(numbers!.dims).toEqual([1, found.length]);
    }
  });

  test('a failing step leaves the context usable', async () => {
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', [2]));
    const i = b.input('i', tensorType('int64', [1]));
    const made = await handMade(
      { inputs: [x, i], outputs: [b.op('gather', [b.op('neg', [x]), i], { axis: 0 })] },
      {
        inputs: ['x', 'i'],
        outputs: ['y'],
        native: (step) => step === 0,
        edit: (p) => {
          toCopy(p, 0);
        },
      },
    );
    await using engine = await Runtime.load(planBytes(made));
    await using context = engine.createContext();
    const run = (index: bigint) => context.run({ x: new Tensor('float32', [7, 8]), i: new Tensor('int64', [index]) });
    await expect(run(5n)).rejects.toMatchObject({ code: 'ERR_VALUE' });
    expect(ints((await run(1n))['y'])).toEqual([8]);
  });
});
