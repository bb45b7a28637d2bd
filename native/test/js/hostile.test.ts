/** Nothing in a plan is trusted: every field of some programs, replaced by everything it must not be. */

import { loadNative, type PlanProgram } from '@tensorwright/native';
import { describe, expect, test } from 'vitest';
import { bool, counting, int64, ProgramBuilder } from './support/program-builder.js';

const native = loadNative();

/** Views, all kinds of storage, symbols from inputs and data, an omitted output, poison. */
function everything(): PlanProgram {
  const b = new ProgramBuilder();
  const n = b.symbol('N', 1, 6);
  const k = b.symbol('K', 0, 24);
  const x = b.input('float32', [n, 4], { names: ['x'] });
  const weight = b.value('float32', [4], { kind: 'constant', offset: 64, bytes: 16 });
  const t = b.arena('float32', [n, 4], 96);
  const found = b.heap('int64', [2, k], { binds: [[1, 1]] });
  const sums = b.heap('float32', [n, 4], { order: [1, 0] });
  const sum = b.heap('float32', [4]);
  const size = b.dims([n, [k, 2, '*', 3, '+']]);
  const odd = { value: t, offset: 1, dims: [n, 2], strides: [4, 2] };
  const half = b.arena('float32', [n, 2], 48);
  b.map(['in f32 0', 'const f32 2', 'mul f32 0 1'], [x], t);
  b.step('nonZero', {}, [t], [found]);
  b.step('copy', {}, [odd], [half]);
  b.map(['in f32 0', 'in f32 1', 'add f32 0 1'], [t, { value: weight, dims: [n, 4], strides: [0, 1] }], sums);
  b.map(['in f32 0'], [weight], sum);
  return {
    ...b.build([found, sums, sum, size, half]),
    agreements: [{ left: 0, right: 0, what: 'layer0: rows', names: ['x', 'x'] }],
  };
}

function control(): PlanProgram {
  const twice = ['in f32 0', 'const f32 2', 'mul f32 0 1'];
  const branch = (): PlanProgram => {
    const b = new ProgramBuilder();
    const n = b.symbol('N', 0, 9, 0);
    const x = b.input('float32', [n, 2]);
    const y = b.heap('float32', [n, 2]);
    b.map(twice, [x], y);
    return b.build([y]);
  };
  const body = new ProgramBuilder();
  body.input('int64', []);
  const go = body.input('bool', []);
  const v = body.input('float32', [3, 2]);
  const next = body.heap('float32', [3, 2]);
  const kept = body.heap('float32', [2]);
  body.map(twice, [v], next);
  body.step('copy', {}, [{ value: next, dims: [2], strides: [1] }], [kept]);
  const row = new ProgramBuilder();
  const state = row.input('float32', [2]);
  const element = row.input('float32', [2]);
  const copy = row.heap('float32', [2]);
  row.map(['in f32 0', 'in f32 1', 'add f32 0 1'], [state, element], copy);
  const b = new ProgramBuilder();
  b.symbol('N', 0, 9);
  const m = b.symbol('M', 0, 100);
  const c = b.input('bool', []);
  const x = b.input('float32', ['s0', 2]);
  const trips = b.input('int64', []);
  const y = b.arena('float32', ['s0', 2], 72);
  const last = b.heap('float32', [3, 2]);
  const all = b.heap('float32', [m, 2], { binds: [[0, 1]] });
  const state0 = { value: x, dims: [2], strides: [1] };
  const state1 = b.heap('float32', [2]);
  const rows = b.heap('float32', [3, 2]);
  b.step('if', {}, [c, x], [y], [branch(), branch()]);
  b.step('loop', { carried: 1, scans: 1 }, [trips, null, y], [last, all], [body.build([go, next, kept])]);
  b.step(
    'scan',
    { carried: 1, scans: 1, numScanInputs: 1, scanInputAxes: [0] },
    [state0, last],
    [state1, rows],
    [row.build([state, copy])],
  );
  return b.build([y, last, all, state1, rows]);
}

type Path = (string | number)[];

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, v]) => pathsOf(v, [...path, key]))];
}

function replaced(value: unknown, path: Path, by: (old: unknown) => unknown): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return by(value);
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }) as Record<string, unknown>;
  copy[head] = replaced(copy[head], rest, by);
  return copy;
}

const cyclic: unknown[] = [];
cyclic.push(cyclic);

const endlessArray = (): unknown[] => new Array<unknown>(5e7);

const replacements: ((old: unknown) => unknown)[] = [
  () => undefined,
  () => null,
  () => -1,
  () => 0,
  () => 1,
  () => 7,
  () => 1.5,
  () => NaN,
  () => 2 ** 31,
  () => 2 ** 53 - 2,
  () => -(2 ** 53 - 2),
  () => 1e300,
  () => 's1',
  () => 's99999999999999999999',
  () => '*',
  () => 'floordiv',
  () => 'arena',
  () => 'int4',
  () => 'int64',
  () => 'complex128',
  () => 'x',
  () => '\u0000',
  () => 5n,
  () => true,
  () => ({}),
  () => [],
  () => [0],
  () => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  () => cyclic,
  endlessArray,
  () => Symbol.iterator,
  (old) => (typeof old === 'number' ? old + 1 : [old, old]),
  (old) => (typeof old === 'number' ? old - 1 : old),
  (old) => (typeof old === 'number' ? old * 64 : old),
  (old) => (Array.isArray(old) ? [...old.slice(1)] : old),
  (old) => (Array.isArray(old) ? [...old, ...old] : old),
  (old) => (Array.isArray(old) ? [...old].reverse() : old),
];

/** Every program is refused with one of our errors, or runs to an end, right or wrong. */
function attempt(
  program: unknown,
  run: (context: ReturnType<ReturnType<typeof native.createProgram>['createContext']>) => void,
): string {
  try {
    using created = native.createProgram(program as PlanProgram, weights);
    using context = created.createContext();
    run(context);
    return 'ran';
  } catch (error) {
    const { code, name, message } = error as { code?: string; name: string; message: string };
    if (name !== 'TensorwrightError') throw error;
    expect(code).toMatch(/^ERR_[A-Z_]+$/);
    expect(code).not.toBe('ERR_INTERNAL');
    expect(message).not.toBe('');
    return code!;
  }
}

const weights = native.openWeights(new Uint8Array(128).fill(1));

describe.each([
  ['straight', everything(), [counting([3, 4])]],
  ['control', control(), [bool(true), counting([3, 2]), int64([], [2])]],
] as const)('%s programs', (_, program, inputs) => {
  test('run as they are', () => {
    expect(attempt(program, (context) => void context.runSync(inputs))).toBe('ran');
  });

  test('with any one field replaced', () => {
    const outcomes = new Map<string, number>();
    for (const [i, path] of pathsOf(program).entries()) {
      if (path.length === 0) continue;
      // A third of them for each field; the next field has the next third.
      for (const by of replacements.filter((_r, k) => k % 3 === i % 3)) {
        const outcome = attempt(replaced(program, path, by), (context) => {
          context.runSync(inputs, { maxIterations: 50 });
          context.runSync(inputs, { maxIterations: 50 });
        });
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    }
    expect(outcomes.get('ERR_INVALID_PLAN')).toBeGreaterThan(1000);
  }, 120_000);

  test('with two fields replaced', () => {
    const paths = pathsOf(program).filter((p) => p.length > 0);
    let state = 1;
    const small = replacements.filter((by) => by !== endlessArray);
    const pick = (n: number): number => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % n;
    for (let i = 0; i < 2000; i++) {
      const once = replaced(program, paths[pick(paths.length)]!, small[pick(small.length)]!);
      const twice = replaced(once, paths[pick(paths.length)]!, small[pick(small.length)]!);
      attempt(twice, (context) => void context.runSync(inputs, { maxIterations: 50 }));
    }
  }, 120_000);
});

test('errors name the field', () => {
  const broken = (path: Path, by: unknown): string => {
    try {
      native.createProgram(replaced(everything(), path, () => by) as PlanProgram, weights);
    } catch (error) {
      return (error as Error).message;
    }
    return 'accepted';
  };
  expect(broken(['steps', 2, 'inputs', 0, 'value'], 99)).toBe(
    'steps[2].inputs[0].value: 99 is not the index of one of the 8 values',
  );
  expect(broken(['steps', 2, 'inputs', 0, 'value'], 'x')).toBe(
    "steps[2].inputs[0].value: expected an integer, received 'x'",
  );
  expect(broken(['values', 2, 'storage', 'kind'], 'stack')).toMatch(/^values\[2\]\.storage\.kind: expected 'input', /);
  expect(broken(['values', 2, 'storage', 'bytes'], 1e6)).toMatch(
    /^values\[2\]\.storage: .* beyond the \d+ bytes of the arena$/,
  );
  expect(broken(['values', 1, 'storage', 'offset'], 65)).toMatch(/^values\[1\]\.storage/);
  expect(broken(['steps', 0, 'kernel'], 'nothing')).toBe("step 0 (nothing 'layer0'): unknown kernel 'nothing'");
  expect(broken(['segments', 0, 'end'], 3)).toBe('segments: step 3 is in none');
  expect(broken(['expressions', 0], ['+'])).toBe('expressions[0]: an operator lacks its two operands');
  expect(broken(['outputs', 1], 99)).toBe('outputs[1]: 99 is not the index of one of the 8 values');
  expect(broken(['agreements', 0, 'left'], 99)).toMatch(
    /^agreements\[0\]\.left: 99 is not the index of one of the \d+ expressions$/,
  );
  expect(broken(['agreements', 0, 'right'], 2 ** 32)).toMatch(
    /^agreements\[0\]\.right: 4294967296 is not the index of one of the \d+ expressions$/,
  );
});

test('a program that contains itself is refused', () => {
  const program = control();
  const branch = program.steps[0]!.programs![0]! as unknown as { steps: unknown[]; segments: { end: number }[] };
  branch.steps.push({ ...program.steps[0]!, programs: [branch, branch] });
  branch.segments[0]!.end = 2;
  expect(attempt(program, () => undefined)).toBe('ERR_INVALID_PLAN');
});

test('a getter that throws', () => {
  const program = { ...everything(), get steps(): never { throw new RangeError('mine'); } }; // prettier-ignore
  expect(() => native.createProgram(program, weights)).toThrow(RangeError);
});
