/** If, loop and scan, as ONNX defines them. */

import { loadNative, type PlanProgram } from '@tensorwright/native';
import { describe, expect, test } from 'vitest';
import { bool, counting, float32, int64, numbersOf, ProgramBuilder } from './support/program-builder.js';

const native = loadNative();

function contextOf(
  program: PlanProgram,
  poison = true,
): ReturnType<ReturnType<typeof native.createProgram>['createContext']> {
  return native.createProgram(program, null).createContext({ poison });
}

describe('if', () => {
  /** x + 1 or x - captured, of one shape, or of shapes that differ. */
  function branches(known: boolean): PlanProgram {
    const branch = (tape: string[], rows: number): PlanProgram => {
      const b = new ProgramBuilder();
      const n = b.symbol('N', 0, 100, 0);
      const x = b.input('float32', [n]);
      const k = b.input('float32', []);
      const t = b.arena('float32', [n], 400);
      const y = b.heap('float32', known ? [n] : [[n, rows, '*']]);
      b.map(tape, [x, { value: k, dims: [n], strides: [0] }], t);
      const part = { dims: [n], strides: [1] };
      if (known) b.map(['in f32 0'], [t], y);
      for (let i = 0; !known && i < rows; i++) b.map(['in f32 0'], [t], { value: y, offset: [n, i, '*'], ...part });
      return b.build([y]);
    };
    const b = new ProgramBuilder();
    const n = b.symbol('N', 0, 100);
    const m = b.symbol('M');
    const c = b.input('bool', []);
    const x = b.input('float32', [n]);
    const k = b.input('float32', []);
    const y = b.heap('float32', [known ? n : m], known ? {} : { binds: [[0, 1]] });
    const z = b.heap('float32', [known ? n : m]);
    const then = branch(['in f32 0', 'const f32 1', 'add f32 0 1'], 1);
    const otherwise = branch(['in f32 0', 'in f32 1', 'sub f32 0 1'], 2);
    b.step('if', {}, [c, x, k], [y], [then, otherwise]);
    b.map(['in f32 0', 'const f32 2', 'mul f32 0 1'], [y], z);
    return b.build([y, z]);
  }

  test.each([true, false])('with outputs of known shape: %s', async (known) => {
    const context = contextOf(branches(known));
    for (let round = 0; round < 3; round++) {
      const then = await context.run([bool(true), counting([3]), float32([], [10])]);
      expect(then.map(numbersOf)).toEqual([
        [1, 2, 3],
        [2, 4, 6],
      ]);
      const otherwise = await context.run([bool(false), counting([2]), float32([], [10])]);
      const once = [-10, -9];
      const expected = known ? once : [...once, ...once];
      expect(otherwise.map(numbersOf)).toEqual([expected, expected.map((v) => 2 * v)]);
    }
  });
});

describe('loop', () => {
  /** x doubles while it is below a bound; the squares of x are gathered. */
  function doubling(): PlanProgram {
    const body = new ProgramBuilder();
    const iteration = body.input('int64', []);
    body.input('bool', []);
    const x = body.input('float32', [1]);
    const bound = body.input('float32', []);
    const below = body.arena('bool', [], 1);
    const twice = body.heap('float32', [1]);
    const square = body.heap('float32', [1]);
    const copied = body.heap('int64', []);
    body.map(['in f32 0', 'const f32 2', 'mul f32 0 1'], [x], twice);
    body.map(['in f32 0', 'mul f32 0 0'], [x], square);
    body.map(['in i64 0'], [iteration], copied);
    body.map(['in f32 0', 'in f32 1', 'lt f32 0 1'], [{ value: twice, dims: [], strides: [] }, bound], below);
    const b = new ProgramBuilder();
    const n = b.symbol('trips');
    const max = b.input('int64', []);
    const start = b.input('bool', []);
    const x0 = b.input('float32', [1]);
    const limit = b.input('float32', []);
    const last = b.heap('float32', [1]);
    const squares = b.heap('float32', [n, 1], { binds: [[0, 0]] });
    const iterations = b.heap('int64', [n]);
    b.step(
      'loop',
      { carried: 1, scans: 2 },
      [max, start, x0, limit],
      [last, squares, iterations],
      [body.build([below, twice, square, copied])],
    );
    return b.build([last, squares, iterations]);
  }

  test.each([
    ['the condition ends it', 100, true, 20, [32], [1, 4, 16, 64, 256]],
    ['the trip count ends it', 3, true, 1e9, [8], [1, 4, 16]],
    ['no trip', 0, true, 20, [1], []],
    ['false from the start', 100, false, 20, [1], []],
  ])('%s', async (_, trips, start, bound, last, squares) => {
    const context = contextOf(doubling());
    for (let round = 0; round < 2; round++) {
      const results = await context.run([int64([], [trips]), bool(start), float32([1], [1]), float32([], [bound])]);
      expect(results.map(numbersOf)).toEqual([last, squares, squares.map((__, i) => i)]);
      expect(results[1]?.dims).toEqual([squares.length, 1]);
    }
  });

  test('without trip count and condition it ends by its own, or at the limit', async () => {
    const b = new ProgramBuilder();
    const x0 = b.input('float32', [1]);
    const bound = b.input('float32', []);
    const last = b.heap('float32', [1]);
    const whole = doubling();
    const body = whole.steps[0]!.programs![0]!;
    b.step('loop', { carried: 1, scans: 2 }, [null, null, x0, bound], [last, null, null], [body]);
    const context = contextOf(b.build([last]));
    const inputs = [float32([1], [1]), float32([], [1000])];
    expect(numbersOf((await context.run(inputs))[0])).toEqual([1024]);
    await expect(context.run(inputs, { maxIterations: 9 })).rejects.toMatchObject({ code: 'ERR_LIMIT_EXCEEDED' });
    expect(numbersOf((await context.run(inputs, { maxIterations: 10 }))[0])).toEqual([1024]);
  });

  test('carried shapes change, also from a view', async () => {
    // x ← x followed by its sum.
    const body = new ProgramBuilder();
    const n = body.symbol('n');
    body.input('int64', []);
    const go = body.input('bool', []);
    const x = body.input('float32', [n]);
    const longer = body.heap('float32', [[n, 1, '+']]);
    body.map(['in f32 0'], [x], { value: longer, dims: [n], strides: [1] });
    body.step(
      'reduce',
      { monoid: 'sum', axes: [0], keepdims: true },
      [x],
      [{ value: longer, offset: n, dims: [1], strides: [1] }],
    );
    const b = new ProgramBuilder();
    const m = b.symbol('m');
    const trips = b.input('int64', []);
    const x0 = b.input('float32', [4]);
    const last = b.heap('float32', [m], { binds: [[0, 0]] });
    const odd = { value: x0, offset: 1, dims: [2], strides: [2] };
    b.step('loop', { carried: 1, scans: 0 }, [trips, null, odd], [last], [body.build([go, longer])]);
    const context = contextOf(b.build([last]));
    for (const [count, expected] of [
      [3, [1, 3, 4, 8, 16]],
      [0, [1, 3]],
      [1, [1, 3, 4]],
    ] as const) {
      expect(numbersOf((await context.run([int64([], [count]), counting([4])]))[0])).toEqual(expected);
    }
  });

  test('two carried values may change places', async () => {
    const body = new ProgramBuilder();
    body.input('int64', []);
    const go = body.input('bool', []);
    const p = body.input('float32', [2]);
    const q = body.input('float32', [2]);
    const b = new ProgramBuilder();
    const trips = b.input('int64', [1]);
    const p0 = b.input('float32', [2]);
    const q0 = b.input('float32', [2]);
    const outputs = [b.heap('float32', [2]), b.arena('float32', [2], 8)];
    b.step('loop', { carried: 2, scans: 0 }, [trips, null, p0, q0], outputs, [body.build([go, q, p])]);
    const context = contextOf(b.build(outputs));
    const results = await context.run([int64([1], [5]), float32([2], [1, 2]), float32([2], [3, 4])]);
    expect(results.map(numbersOf)).toEqual([
      [3, 4],
      [1, 2],
    ]);
  });

  test('a loop in a loop', async () => {
    const inner = new ProgramBuilder();
    inner.input('int64', []);
    const go = inner.input('bool', []);
    const x = inner.input('float32', [1]);
    const step = inner.input('float32', [1]);
    const sum = inner.heap('float32', [1]);
    inner.map(['in f32 0', 'in f32 1', 'add f32 0 1'], [x, step], sum);
    const outer = new ProgramBuilder();
    const iteration = outer.input('int64', []);
    const going = outer.input('bool', []);
    const y = outer.input('float32', [1]);
    const by = outer.input('float32', [1]);
    const next = outer.heap('float32', [1]);
    // As many inner iterations as the outer one's number.
    outer.step('loop', { carried: 1, scans: 0 }, [iteration, null, y, by], [next], [inner.build([go, sum])]);
    const b = new ProgramBuilder();
    const trips = b.input('int64', []);
    const start = b.input('float32', [1]);
    const increment = b.input('float32', [1]);
    const last = b.heap('float32', [1]);
    b.step('loop', { carried: 1, scans: 0 }, [trips, null, start, increment], [last], [outer.build([going, next])]);
    const context = contextOf(b.build([last]));
    const [result] = await context.run([int64([], [100]), float32([1], [1]), float32([1], [2])]);
    expect(numbersOf(result)).toEqual([1 + 2 * 4950]);
  });
});

describe('scan', () => {
  /** ONNX's example: running sums of the rows, and the last one. */
  function runningSums(
    attributes: Record<string, number[]>,
    dims: number[],
    element: number,
    out: number[],
  ): PlanProgram {
    const body = new ProgramBuilder();
    const sum = body.input('float32', [element]);
    const next = body.input('float32', [element]);
    const total = body.heap('float32', [element]);
    const copy = body.heap('float32', [element]);
    body.map(['in f32 0', 'in f32 1', 'add f32 0 1'], [sum, next], total);
    body.map(['in f32 0'], [total], copy);
    const b = new ProgramBuilder();
    const initial = b.input('float32', [element]);
    const x = b.input('float32', dims);
    const last = b.heap('float32', [element]);
    const all = b.heap('float32', out);
    b.step(
      'scan',
      { carried: 1, scans: 1, numScanInputs: 1, ...attributes },
      [initial, x],
      [last, all],
      [body.build([total, copy])],
    );
    return b.build([last, all]);
  }

  test('over the first axis', async () => {
    const context = contextOf(runningSums({}, [3, 2], 2, [3, 2]));
    const results = await context.run([float32([2], [0, 0]), float32([3, 2], [1, 2, 3, 4, 5, 6])]);
    expect(results.map(numbersOf)).toEqual([
      [9, 12],
      [1, 2, 4, 6, 9, 12],
    ]);
  });

  test('over other axes, backwards', async () => {
    const attributes = {
      scanInputAxes: [1],
      scanOutputAxes: [-1],
      scanInputDirections: [1],
      scanOutputDirections: [1],
    };
    const context = contextOf(runningSums(attributes, [2, 3], 2, [2, 3]));
    const results = await context.run([float32([2], [0, 0]), float32([2, 3], [1, 2, 3, 4, 5, 6])]);
    // Columns [3,6], [2,5], [1,4] in turn; the results fill the columns from the last one on.
    expect(results.map(numbersOf)).toEqual([
      [6, 15],
      [6, 5, 3, 15, 11, 6],
    ]);
  });

  test('over nothing', async () => {
    const context = contextOf(runningSums({}, [0, 2], 2, [0, 2]));
    const results = await context.run([float32([2], [7, 8]), float32([0, 2], [])]);
    expect(results.map((r) => [r.dims, numbersOf(r)])).toEqual([
      [[2], [7, 8]],
      [[0, 2], []],
    ]);
  });
});
