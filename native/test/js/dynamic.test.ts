/** Shapes that the data decides, and runs whose segments other backends share. */

import { loadNative, type PlanProgram } from '@tensorwright/native';
import { describe, expect, test } from 'vitest';
import { counting, float32, int64, numbersOf, ProgramBuilder } from './support/program-builder.js';

const native = loadNative();

/** Indices of the elements that are not zero [1, K], their cumulative sum, and 2·K; in the arena or on the heap. */
function nonZero(storage: 'arena' | 'heap'): PlanProgram {
  const b = new ProgramBuilder();
  const n = b.symbol('N', 1, 100);
  const k = b.symbol('K', 0, 50);
  const x = b.input('float32', [n]);
  const found =
    storage === 'heap'
      ? b.heap('int64', [1, k], { binds: [[1, 1]], names: ['found'] })
      : b.value('int64', [1, k], { kind: 'arena', offset: 0, bytes: 400 }, { binds: [[1, 1]], names: ['found'] });
  if (storage === 'arena') b.arena('float32', [], 400, 0);
  const sums = b.heap('int64', [1, k]);
  const twice = b.dims([[k, 2, '*']]);
  b.step('nonZero', {}, [x], [found]).step('cumSum', { axis: 1 }, [found], [sums]);
  return b.build([found, sums, twice]);
}

describe('symbols that steps bind', () => {
  test.each(['arena', 'heap'] as const)('values in the %s', async (storage) => {
    const context = native.createProgram(nonZero(storage), null).createContext({ poison: true });
    for (const data of [[0, 1, 1, 0, 1], [0, 0], [1], [0, 1, 1, 0, 1], [3, 4, 5]]) {
      const expected = data.flatMap((v, i) => (v ? [i] : []));
      let sum = 0;
      const results = await context.run([float32([data.length], data)]);
      expect(results[0]?.dims).toEqual([1, expected.length]);
      expect(results.map(numbersOf)).toEqual([expected, expected.map((i) => (sum += i)), [2 * expected.length]]);
      expect(context.symbols()).toEqual([data.length, expected.length]);
    }
  });

  test('beyond their bounds they are refused', async () => {
    const context = native.createProgram(nonZero('heap'), null).createContext();
    await expect(
      context.run([
        float32(
          [60],
          Array.from({ length: 60 }, () => 1),
        ),
      ]),
    ).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringMatching(
        /step 0 \(nonZero 'layer0'\): 'found': axis 1 = 60 is out of bounds: K is 0 to 50/,
      ),
    });
    expect(numbersOf((await context.run([float32([2], [0, 1])]))[0])).toEqual([1]);
  });

  test('an arena value cannot outgrow its place', async () => {
    const b = new ProgramBuilder();
    const k = b.symbol('K');
    const x = b.input('float32', [9]);
    b.arena('float32', [], 64, 0);
    const found = b.value('int64', [1, k], { kind: 'arena', offset: 0, bytes: 40 }, { binds: [[1, 0]] });
    b.step('nonZero', {}, [x], [found]);
    const context = native.createProgram(b.build([found]), null).createContext();
    await expect(context.run([float32([9], [1, 1, 1, 1, 1, 1, 0, 0, 0])])).rejects.toThrow(
      /needs 48 bytes, the plan has 40/,
    );
    expect(numbersOf((await context.run([float32([9], [1, 1, 1, 1, 1, 0, 0, 0, 0])]))[0])).toEqual([0, 1, 2, 3, 4]);
  });

  test('a known extent must come true', async () => {
    const b = new ProgramBuilder();
    const k = b.symbol('K');
    const x = b.input('float32', [3]);
    const found = b.heap('int64', [2, k], { binds: [[1, 0]], names: ['found'] });
    b.step('nonZero', {}, [x], [found]);
    const context = native.createProgram(b.build([found]), null).createContext();
    await expect(context.run([counting([3])])).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringMatching(/'found' came out as \[1,2\], expected 2 at axis 0/),
    });
  });

  test('ranks may be unknown', async () => {
    const b = new ProgramBuilder();
    const x = b.input('float32', undefined);
    const found = b.heap('int64', undefined);
    const copy = b.heap('int64', undefined);
    b.step('nonZero', {}, [x], [found]);
    b.step('nonZero', {}, [found], [copy]);
    const context = native.createProgram(b.build([found, copy]), null).createContext();
    const [indices, again] = await context.run([float32([2, 2], [0, 1, 1, 1])]);
    expect([indices?.dims, numbersOf(indices)]).toEqual([
      [2, 3],
      [0, 1, 1, 1, 0, 1],
    ]);
    expect([again?.dims, numbersOf(again)]).toEqual([
      [2, 4],
      [0, 0, 1, 1, 1, 2, 0, 2],
    ]);
    expect((await context.run([float32([1], [1])]))[0]?.dims).toEqual([1, 1]);
  });

  test('outputs nobody wants may be left out', async () => {
    const b = new ProgramBuilder();
    const k = b.symbol('K');
    const x = b.input('int64', [6]);
    const inverse = b.heap('int64', [6]);
    const counts = b.heap('int64', [k], { binds: [[0, 0]] });
    b.step('unique', { sorted: true }, [x], [null, null, inverse, counts]);
    const context = native.createProgram(b.build([inverse, counts]), null).createContext();
    const results = await context.run([int64([6], [2, 1, 1, 3, 4, 3])]);
    expect(results.map(numbersOf)).toEqual([
      [1, 0, 0, 2, 3, 2],
      [2, 1, 2, 1],
    ]);
  });
});

describe('runs in pieces', () => {
  /** x → (elsewhere) t, whose extent only its step knows → cumulative sums. */
  function shared(): PlanProgram {
    const b = new ProgramBuilder();
    const n = b.symbol('N');
    const k = b.symbol('K');
    const x = b.input('float32', [n]);
    const first = b.arena('float32', [n], 400);
    const t = b.heap('float32', [k], { binds: [[0, 1]], names: ['t'] });
    const y = b.heap('float32', [k], { names: ['y'] });
    b.step('cumSum', { axis: 0 }, [x], [first]).segment();
    b.step('somethingElse', {}, [first], [t]).segment('reference');
    b.step('cumSum', { axis: 0 }, [t], [y]).segment();
    return b.build([y]);
  }
  const [first, t] = [1, 2];

  test('segments run here and there', async () => {
    const context = native.createProgram(shared(), null).createContext({ poison: true });
    for (const k of [2, 3, 2]) {
      context.begin([counting([4])]);
      await context.runSegment(0);
      const seen = context.read(first);
      expect([seen.dims, numbersOf(seen)]).toEqual([[4], [0, 1, 3, 6]]);
      const every2nd = { value: first, dims: [0], strides: [0] };
      expect(() => context.read({ ...every2nd, offset: 99 })).toThrow(/no expression 99/);
      context.write(t, float32([k], numbersOf(seen).slice(0, k)));
      expect(context.symbols()).toEqual([4, k]);
      await context.runSegment(2);
      expect(numbersOf(context.finish()[0])).toEqual([0, 1, 4].slice(0, k));
    }
  });

  test('whoever calls in the wrong order is told', async () => {
    const context = native.createProgram(shared(), null).createContext();
    const invalid = (message: RegExp): unknown =>
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringMatching(message) });
    expect(() => context.read(first)).toThrow(invalid(/begin/));
    expect(() => context.finish()).toThrow(invalid(/begin/));
    await expect(context.runSegment(0)).rejects.toEqual(invalid(/begin/));
    await expect(context.run([counting([4])])).rejects.toEqual(invalid(/another backend/));
    context.begin([counting([4])]);
    expect(() => context.begin([counting([4])])).toThrow(invalid(/already/));
    await expect(context.run([counting([4])])).rejects.toEqual(invalid(/between begin\(\) and finish\(\)/));
    await expect(context.runSegment(1)).rejects.toEqual(invalid(/runs on 'reference'/));
    await expect(context.runSegment(7)).rejects.toEqual(invalid(/no segment 7/));
    expect(() => context.read(t)).toThrow(/before its shape is known/);
    expect(() => context.write(0, counting([4]))).toThrow(invalid(/cannot be written/));
    expect(() => context.write(t, int64([1], [1]))).toThrow(
      expect.objectContaining({ code: 'ERR_DTYPE_MISMATCH' }) as Error,
    );
    expect(() => context.write(t, counting([1, 1]))).toThrow(/expected rank 1/);
    expect(() => context.finish()).toThrow(/'y' was never computed/);
    context.begin([counting([4])]);
    context.abandon();
    context.begin([counting([4])]);
    context.abandon();
  });
});
