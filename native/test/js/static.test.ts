/** Programs whose shapes follow from their inputs: symbols, views, layouts, outputs, constants. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNative, type NativeTensor, type PlanProgram } from '@tensorwright/native';
import { describe, expect, test } from 'vitest';
import { counting, float32, numbersOf, ProgramBuilder } from './support/program-builder.js';

const native = loadNative();

/** y = cumulative sum of x along the last axis, x: [N, 3]. */
function sums(): PlanProgram {
  const b = new ProgramBuilder();
  const n = b.symbol('N', 1, 8);
  const x = b.input('float32', [n, 3], { names: ['x'] });
  const y = b.heap('float32', [n, 3], { names: ['y'] });
  b.step('cumSum', { axis: 1 }, [x], [y]);
  return b.build([y]);
}

describe('symbols', () => {
  test('a symbol takes its value from the input, in every run anew', async () => {
    const context = native.createProgram(sums(), null).createContext();
    for (const rows of [2, 5, 2, 2, 8]) {
      const [y] = await context.run([counting([rows, 3])]);
      expect(y?.dtype).toBe('float32');
      expect(y?.dims).toEqual([rows, 3]);
      const expected = Array.from({ length: rows }, (_, r) => [9 * r - 6 * r, 6 * r + 1, 9 * r + 3]).flat();
      expect(numbersOf(y)).toEqual(expected);
      expect(context.symbols()).toEqual([rows]);
    }
  });

  test.each([
    ['rank', [2, 3, 1], 'ERR_SHAPE_MISMATCH', /'x' expects rank 2/],
    ['a fixed extent', [2, 4], 'ERR_SHAPE_MISMATCH', /'x' expects 3 at axis 1, received \[2,4\]/],
    ['the profile', [9, 3], 'ERR_SHAPE_MISMATCH', /'x': axis 0 = 9 is outside the profile: N is 1 to 8/],
  ])('%s is checked', async (_, dims, code, message) => {
    const context = native.createProgram(sums(), null).createContext();
    await expect(context.run([counting(dims)])).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    // The context is as good as new.
    expect(numbersOf((await context.run([counting([1, 3])]))[0])).toEqual([0, 1, 3]);
  });

  test('two inputs must agree', () => {
    const b = new ProgramBuilder();
    const n = b.symbol('N');
    const x = b.input('float32', [n], { names: ['x'] });
    b.input('float32', [[n, 2, '*']], { names: ['z'] });
    const y = b.heap('float32', [n]);
    b.step('cumSum', { axis: 0 }, [x], [y]);
    const context = native.createProgram(b.build([y]), null).createContext();
    expect(numbersOf(context.runSync([counting([3]), counting([6])])[0])).toEqual([0, 1, 3]);
    expect(() => context.runSync([counting([3]), counting([5])])).toThrow(/'z' expects 6 at axis 0, received \[5\]/);
  });

  test.each([
    ['dtype', [{ dtype: 'int64', dims: [1, 3], data: new BigInt64Array(3) }], 'ERR_DTYPE_MISMATCH'],
    ['length', [{ dtype: 'float32', dims: [1, 3], data: new Float32Array(4) }], 'ERR_SHAPE_MISMATCH'],
    ['missing input', [null], 'ERR_INVALID_ARGUMENT'],
    ['number of inputs', [], 'ERR_INVALID_ARGUMENT'],
    ['negative dims', [{ dtype: 'float32', dims: [-1, 3], data: new Float32Array(0) }], 'ERR_SHAPE_MISMATCH'],
    ['huge dims', [{ dtype: 'float32', dims: [2 ** 52, 2 ** 52], data: new Float32Array(0) }], 'ERR_LIMIT_EXCEEDED'],
    ['no tensor', [7 as unknown as NativeTensor], 'ERR_INVALID_ARGUMENT'],
  ] satisfies [string, (NativeTensor | null)[], string][])('a wrong %s is refused', async (_, inputs, code) => {
    const context = native.createProgram(sums(), null).createContext();
    await expect(context.run(inputs)).rejects.toMatchObject({ code });
    expect(() => context.runSync(inputs)).toThrow(expect.objectContaining({ code }) as Error);
  });

  test('expressions round towards minus infinity', () => {
    const b = new ProgramBuilder();
    const n = b.symbol('N');
    const x = b.input('float32', [n]);
    const negative = [n, -1, '*'];
    const d = b.dims([
      [...negative, 4, 'floordiv'],
      [...negative, 4, 'mod'],
      [n, 5, 'min'],
      [n, 5, 'max', 3, '+'],
    ]);
    const context = native.createProgram(b.build([d, x]), null).createContext();
    expect(numbersOf(context.runSync([counting([7])])[0])).toEqual([-2, 1, 5, 10]);
    expect(numbersOf(context.runSync([counting([4])])[0])).toEqual([-1, 0, 4, 8]);
  });
});

describe('memory', () => {
  test('values share the arena, and poison shows nobody reads what is dead', async () => {
    const b = new ProgramBuilder();
    const x = b.input('float32', [4]);
    const t = [0, 64, 0, 64, 0].map((offset) => b.arena('float32', [4], 16, offset));
    const y = b.heap('float32', [4]);
    [x, ...t].forEach((from, i) => b.step('cumSum', { axis: 0 }, [from], [t[i] ?? y]));
    const plain = native.createProgram(b.build([y]), null);
    const expected = [0, 1, 2, 3].map((_, i, v) => {
      let row: number[] = v;
      for (let k = 0; k < 6; k++) row = row.map((__, j) => row.slice(0, j + 1).reduce((p, q) => p + q));
      return row[i];
    });
    for (const poison of [false, true]) {
      const [result] = await plain.createContext({ poison }).run([counting([4])]);
      expect(numbersOf(result)).toEqual(expected);
    }
  });

  test('poison fills a value once nobody may read it', async () => {
    const b = new ProgramBuilder();
    const x = b.input('float32', [4]);
    const t = b.arena('float32', [4], 16);
    const y = b.heap('float32', [4]);
    b.step('cumSum', { axis: 0 }, [x], [t]).segment();
    b.step('cumSum', { axis: 0 }, [t], [y]).segment();
    const program = native.createProgram(b.build([y]), null);
    for (const poison of [false, true]) {
      const context = program.createContext({ poison });
      context.begin([counting([4])]);
      await context.runSegment(0);
      expect(numbersOf(context.read(t))).toEqual([0, 1, 3, 6]);
      await context.runSegment(1);
      expect(numbersOf(context.read(t))).toEqual(poison ? [NaN, NaN, NaN, NaN] : [0, 1, 3, 6]);
      expect(context.finish().map(numbersOf)).toEqual([[0, 1, 4, 10]]);
    }
  });

  test('an output goes to memory of the caller', async () => {
    const context = native.createProgram(sums(), null).createContext();
    const data = new Float32Array(6);
    const [y] = await context.run([counting([2, 3])], { outputs: [{ dtype: 'float32', data }] });
    expect(y?.data).toBe(data);
    expect([...data]).toEqual([0, 1, 3, 3, 7, 12]);
    const small = { outputs: [{ dtype: 'float32', data: new Float32Array(5) }] } as const;
    await expect(context.run([counting([2, 3])], small)).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringMatching(/'y' is float32\[2,3\], 24 bytes; the memory for it has 20/),
    });
    const wrong = { outputs: [{ dtype: 'int32', data: new Int32Array(6) }] } as const;
    await expect(context.run([counting([2, 3])], wrong)).rejects.toMatchObject({ code: 'ERR_DTYPE_MISMATCH' });
  });

  test('an output may be written over its input', async () => {
    const context = native.createProgram(sums(), null).createContext();
    const x = counting([2, 3]);
    await context.run([x], { outputs: [x] });
    expect(numbersOf(x)).toEqual([0, 1, 3, 3, 7, 12]);
  });

  test('shared, unaligned and resizable memory', async () => {
    const context = native.createProgram(sums(), null).createContext();
    const shared = new Float32Array(new SharedArrayBuffer(12));
    shared.set([1, 2, 3]);
    const unaligned = new Uint8Array(new ArrayBuffer(13), 1);
    unaligned.set(new Uint8Array(shared.buffer));
    const Resizable = ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer;
    const resizable = new Float32Array(new Resizable(12, { maxByteLength: 64 }));
    resizable.set(shared);
    for (const data of [shared, unaligned, resizable, new DataView(unaligned.buffer, 1)]) {
      const input = { dtype: 'float32', dims: [1, 3], data } as const;
      expect(numbersOf((await context.run([input]))[0])).toEqual([1, 3, 6]);
      const results = await context.run([float32([1, 3], [1, 2, 3])], { outputs: [input] });
      expect(results[0]?.data).toBe(data);
      expect([...new Float32Array(new Uint8Array(data.buffer.slice(data.byteOffset)).slice(0, 12).buffer)]).toEqual([
        1, 3, 6,
      ]);
      new Uint8Array(data.buffer, data.byteOffset, 12).set(new Uint8Array(Float32Array.of(1, 2, 3).buffer));
    }
  });

  test('tensors without elements', async () => {
    const b = new ProgramBuilder();
    const n = b.symbol('N');
    const x = b.input('float32', [n, 3]);
    const t = b.arena('float32', [n, 3], 120);
    const y = b.heap('float32', [3]);
    b.step('cumSum', { axis: 0 }, [x], [t]).step('reduce', { monoid: 'sum', axes: [0], keepdims: false }, [t], [y]);
    const context = native.createProgram(b.build([y, t]), null).createContext();
    const [y0, t0] = await context.run([float32([0, 3], [])]);
    expect(numbersOf(y0)).toEqual([0, 0, 0]);
    expect(t0?.dims).toEqual([0, 3]);
    expect(numbersOf((await context.run([counting([2, 3])]))[0])).toEqual([3, 6, 9]);
  });

  test('large results are given away without a copy, and stay valid', async () => {
    const b = new ProgramBuilder();
    const x = b.input('float32', [100_000]);
    const y = b.heap('float32', [100_000]);
    b.step('cumSum', { axis: 0 }, [x], [y]);
    const context = native.createProgram(b.build([y]), null).createContext();
    const ones = float32([100_000], new Float32Array(100_000).fill(1));
    const [first] = await context.run([ones]);
    const [second] = await context.run([ones]);
    context.close();
    expect(numbersOf(first).at(-1)).toBe(100_000);
    expect(first?.data.buffer).not.toBe(second?.data.buffer);
    expect(numbersOf(second)).toEqual(numbersOf(first));
  });
});

describe('outputs', () => {
  test('inputs, constants, dims and repeated values may be outputs', async () => {
    const b = new ProgramBuilder();
    const n = b.symbol('N');
    const x = b.input('float32', [n]);
    const k = b.value('float32', [2], { kind: 'constant', offset: 64, bytes: 8 });
    const d = b.dims([n]);
    const y = b.heap('float32', [n]);
    b.step('cumSum', { axis: 0 }, [x], [y]);
    const bytes = new Uint8Array(128);
    new Float32Array(bytes.buffer, 64, 2).set([5, 6]);
    const weights = native.openWeights(bytes);
    const context = native.createProgram(b.build([x, k, d, y, y]), weights).createContext();
    weights.close();
    bytes.fill(0);
    const results = await context.run([counting([3])]);
    expect(results.map(numbersOf)).toEqual([[0, 1, 2], [5, 6], [3], [0, 1, 3], [0, 1, 3]]);
    expect(new Set(results.map((r) => r.data.buffer)).size).toBe(5);
  });

  test('weights from a file, at any offset', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tensorwright-'));
    try {
      const path = join(folder, 'wëights.bin');
      const bytes = new Uint8Array(10_000);
      const values = Float32Array.of(1, 2, 3, 4);
      for (const offset of [0, 64, 4160, 8192, 9001]) bytes.set(new Uint8Array(values.buffer), offset);
      writeFileSync(path, bytes);
      for (const offset of [0, 64, 4160, 8192, 9001]) {
        const b = new ProgramBuilder();
        const k = b.value('float32', [4], { kind: 'constant', offset: 0, bytes: 16 });
        const y = b.heap('float32', [4]);
        b.step('cumSum', { axis: 0 }, [k], [y]);
        using weights = native.openWeights({ path, offset, bytes: 16 });
        const context = native.createProgram(b.build([y]), weights).createContext();
        expect(numbersOf(context.runSync([])[0])).toEqual([1, 3, 6, 10]);
      }
      expect(() => native.openWeights({ path, offset: 9990, bytes: 16 })).toThrow(/has 10000/);
      expect(() => native.openWeights({ path: `${path}?`, offset: 0, bytes: 1 })).toThrow(/cannot open/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('views and layouts', () => {
  test('concatenation is two steps that write parts of a value, and slicing reads one', async () => {
    const b = new ProgramBuilder();
    const n = b.symbol('N');
    const x = b.input('float32', [2, n]);
    const wide = b.arena('float32', [2, [n, 2, '*']], 400);
    const strides = [[n, 2, '*'], 1];
    const y = b.heap('float32', [2, n]);
    b.step('cumSum', { axis: 1 }, [x], [{ value: wide, dims: [2, n], strides }]);
    b.step('cumSum', { axis: 0 }, [x], [{ value: wide, offset: n, dims: [2, n], strides }]);
    // Every second column, from the last one backwards.
    const back = { value: wide, offset: [n, 2, '*', -1, '+'], dims: [2, n], strides: [[n, 2, '*'], -2] };
    b.step('reduce', { monoid: 'sum', axes: [], keepdims: true }, [back], [y]);
    const program = native.createProgram(b.build([wide, y]), null);
    for (const poison of [false, true]) {
      const [joined, reversed] = await program.createContext({ poison }).run([counting([2, 3])]);
      expect(numbersOf(joined)).toEqual([0, 1, 3, 0, 1, 2, 3, 7, 12, 3, 5, 7]);
      expect(numbersOf(reversed)).toEqual([2, 0, 1, 7, 3, 7]);
    }
  });

  test('a view must stay inside its value', () => {
    const b = new ProgramBuilder();
    const n = b.symbol('N');
    const x = b.input('float32', [n]);
    const y = b.heap('float32', [4]);
    b.step('cumSum', { axis: 0 }, [{ value: x, offset: 1, dims: [4], strides: [2] }], [y]);
    const context = native.createProgram(b.build([y]), null).createContext();
    expect(numbersOf(context.runSync([counting([8])])[0])).toEqual([1, 4, 9, 16]);
    expect(() => context.runSync([counting([7])])).toThrow(/leaves its value's 28 bytes/);
  });

  test('a channels-last value under unchanged logical dims', async () => {
    const b = new ProgramBuilder();
    const x = b.input('float32', [1, 2, 2, 3], { order: [0, 2, 3, 1] });
    const t = b.heap('float32', [1, 2, 2, 3], { order: [0, 2, 3, 1] });
    b.step('cumSum', { axis: 1 }, [x], [t]);
    const context = native.createProgram(b.build([x, t]), null).createContext();
    // Physically [h][w][c]: the channels of one pixel are neighbours.
    const [same, summed] = await context.run([counting([1, 2, 2, 3])]);
    expect(numbersOf(same)).toEqual([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
    expect(numbersOf(summed)).toEqual([0, 2, 4, 6, 8, 10, 1, 5, 9, 13, 17, 21]);
  });
});

describe('inspection', () => {
  test('profiles count calls and time', async () => {
    const context = native.createProgram(sums(), null).createContext();
    expect(context.profile()).toEqual({ steps: [] });
    context.setProfiling(true);
    for (let i = 0; i < 3; i++) await context.run([counting([2, 3])]);
    const [step] = context.profile().steps;
    expect(step?.calls).toBe(3);
    expect(step?.nanoseconds).toBeGreaterThan(0);
  });

  test('timing a program gives ascending times', async () => {
    const program = native.createProgram(sums(), null);
    const times = await native.time(program, [[8, 3]], { maxRuns: 5, minNanoseconds: 1e12 });
    expect(times).toHaveLength(5);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    await expect(native.time(program, [[9, 3]])).rejects.toMatchObject({ code: 'ERR_SHAPE_MISMATCH' });
  });
});
