/** Runs short enough that the event loop waits for them awake, and that they may run on one thread. */

import { type Context, loadNative, type NativeTensor, type PlanProgram } from '@tensorwright/native';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { numbersOf, ProgramBuilder } from './support/program-builder.js';

const native = loadNative();

/** Cumulative sums along the columns of a matrix with any number of rows. */
function columnSums(): PlanProgram {
  const b = new ProgramBuilder();
  const rows = b.symbol('rows', 1, 1 << 16);
  const x = b.input('float32', [rows, 64]);
  const y = b.heap('float32', [rows, 64]);
  b.step('cumSum', { axis: 0 }, [x], [y]);
  return b.build([y]);
}

const ones = (rows: number, columns = 64): NativeTensor => ({
  dtype: 'float32',
  dims: [rows, columns],
  data: new Float32Array(rows * columns).fill(1),
});

/** As many as there are rows. */
async function lastSum(context: Context, rows: number): Promise<number> {
  const [y] = await context.run([ones(rows)]);
  return numbersOf(y).at(-1)!;
}

test('give the same results in every run, while others run, and beside longer ones', async () => {
  const program = native.createProgram(columnSums(), null, { threads: 4 });
  const contexts = [program.createContext(), program.createContext()];
  for (const rows of [2, 20_000, 3]) {
    for (let i = 0; i < 12; i++) {
      const sums = await Promise.all([...contexts, ...contexts].map((c, k) => lastSum(c, k === 0 ? rows : 4)));
      expect(sums).toEqual([rows, 4, 4, 4]);
    }
  }
});

test('let timers and other callbacks run between them', async () => {
  const context = native.createProgram(columnSums(), null).createContext();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const end = performance.now() + 200;
  let runs = 0;
  while (performance.now() < end) {
    await lastSum(context, 2);
    runs++;
  }
  clearInterval(timer);
  expect(runs).toBeGreaterThan(10);
  expect(ticks).toBeGreaterThan(10);
});

test('settle when nothing else happens for a while in between', async () => {
  const context = native.createProgram(columnSums(), null).createContext();
  for (let i = 0; i < 20; i++) {
    expect(await lastSum(context, 2)).toBe(2);
    expect(await lastSum(context, 3)).toBe(3);
    await sleep(i % 3);
  }
});

test('settle although a test has replaced the timers', async () => {
  const context = native.createProgram(columnSums(), null).createContext();
  for (let i = 0; i < 5; i++) await lastSum(context, 2);
  vi.useFakeTimers({ toFake: ['setImmediate', 'setTimeout', 'setInterval'] });
  try {
    for (let i = 0; i < 20; i++) expect(await lastSum(context, 2)).toBe(2);
  } finally {
    vi.useRealTimers();
  }
});

test('fail and are cancelled like any other', async () => {
  const context = native.createProgram(columnSums(), null).createContext();
  for (let i = 0; i < 10; i++) {
    await lastSum(context, 2);
    await expect(context.run([ones(2, 63)])).rejects.toMatchObject({ code: 'ERR_SHAPE_MISMATCH' });
    const cancel = native.createCancelToken();
    const run = context.run([ones(2)], { cancel });
    cancel.cancel();
    await run.catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'ERR_ABORTED' });
    });
  }
});
