/** Arguments that TypeScript would refuse, and memory that is given twice: a coded error that names it, or right results. */

import { GraphBuilder, Tensor, tensorType } from '@tensorwright/core';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DeviceBuffer, type Engine, type ExecutionContext, Runtime } from '../src/index.js';
import { handMade, planBytes } from './support/hand-made.js';

let plan: Uint8Array;
let engine: Engine;
let context: ExecutionContext;

/** 'negative' is -x, 'same' is x, and 'toString' is |x|: names that all objects have are names like any other. */
beforeAll(async () => {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', [3]));
  plan = planBytes(
    await handMade(
      { inputs: [x], outputs: [b.op('neg', [x]), x, b.op('abs', [x])] },
      { inputs: ['x'], outputs: ['negative', 'same', 'toString'] },
    ),
  );
  engine = await Runtime.load(plan);
  context = engine.createContext();
});

afterAll(() => engine.close());

const tensor = (...values: number[]): Tensor => new Tensor('float32', values);
const elements = (t: Tensor | undefined): number[] => [...(t!.data as Float32Array)].map((v) => v + 0);

describe('inputs', () => {
  it.each<[unknown, RegExp]>([
    [5, /input 'x': expected a Tensor float32\[3\], received a number/],
    ['a', /received a string/],
    [true, /received a boolean/],
    [Float32Array.of(1, 2, 3), /received a Float32Array/],
    [[1, 2, 3], /received an Array/],
    [{}, /received an Object/],
  ])('%o', async (given, message) => {
    await expect(context.run({ x: given as Tensor })).rejects.toMatchObject({
      code: 'ERR_DTYPE_MISMATCH',
      message: expect.stringMatching(message),
    });
  });

  it('names the one whose parts do not fit each other', async () => {
    const foreign = { dtype: 'float32', dims: [2], data: Float32Array.of(1, 2, 3) };
    await expect(context.run({ x: foreign as unknown as Tensor })).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringMatching(/^run: input 'x': .*needs 2 storage elements, received 3/),
    });
  });
});

describe('outputs', () => {
  it.each<[string, unknown]>([
    ['a Map', new Map([['negative', tensor(0, 0, 0)]])],
    ['a list', [tensor(0, 0, 0)]],
  ])('refuse %s', async (_, outputs) => {
    await expect(context.run({ x: tensor(1, 2, 3) }, { outputs: outputs as never })).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
      message: expect.stringMatching(/'outputs' must be an object of named tensors/),
    });
  });

  it('take the memory of an input, whatever else is made of it', async () => {
    const x = tensor(1, -2, 3);
    const results = await context.run({ x }, { outputs: { negative: x } });
    expect(results['negative']).toBe(x);
    expect(elements(x)).toEqual([-1, 2, -3]);
    expect(elements(results['same'])).toEqual([1, -2, 3]);
  });

  it('are copied from memory that another one is written to only as it was', async () => {
    const x = tensor(1, -2, 3);
    const same = tensor(0, 0, 0);
    await context.run({ x }, { outputs: { negative: x, same } });
    expect([elements(x), elements(same)]).toEqual([
      [-1, 2, -3],
      [1, -2, 3],
    ]);
  });

  it('name the one that does not fit what the run alone could tell', async () => {
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', [3]));
    const made = await handMade(
      { inputs: [x], outputs: [b.op('nonZero', [x])] },
      { inputs: ['x'], outputs: ['places'] },
    );
    await using e = await Runtime.load(planBytes(made));
    await using c = e.createContext();
    const places = Tensor.zeros('int64', [1, 3]);
    await expect(c.run({ x: tensor(1, 0, 3) }, { outputs: { places } })).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: "run: output 'places': expected [1, 2], as computed, received [1, 3]",
      details: { output: 'places', expected: [1, 2], received: [1, 3] },
    });
  });

  it('overlap an input by parts', async () => {
    const memory = Float32Array.of(1, -2, 3, 4);
    const x = new Tensor('float32', memory.subarray(0, 3));
    const results = await context.run({ x }, { outputs: { negative: new Tensor('float32', memory.subarray(1)) } });
    expect([...memory]).toEqual([1, -1, 2, -3]);
    expect(elements(results['same'])).toEqual([1, -2, 3]);
  });
});

describe('other arguments', () => {
  it.each<[string, () => unknown, string, RegExp]>([
    ['a folder', () => Runtime.load(tmpdir()), 'ERR_INVALID_ARGUMENT', /cannot read the plan '.*': it is a folder/],
    ['a URL of no file', () => Runtime.load(new URL('http://a/b')), 'ERR_INVALID_ARGUMENT', /'http:\/\/a\/b'/],
    [
      'a plan that gives no bytes',
      () => Runtime.load({ toBytes: () => 'bytes' as never }),
      'ERR_INVALID_ARGUMENT',
      /Runtime.load: toBytes\(\) gave a string, expected a Uint8Array/,
    ],
    ['nothing', () => Runtime.inspect(undefined as never), 'ERR_INVALID_ARGUMENT', /^Runtime.inspect: expected a path/],
    [
      "backends' names",
      () => Runtime.load(plan, { backends: ['reference' as never] }),
      'ERR_INVALID_OPTION',
      /'backends' must be a list of backends, not of names/,
    ],
    ['plays', () => context.deviceTimes(-1), 'ERR_INVALID_ARGUMENT', /plays must be an integer from 1/],
    [
      'a misspelt device',
      () => DeviceBuffer.allocate('float32', [2], { devise: 1 } as never),
      'ERR_INVALID_OPTION',
      /unknown option 'devise'; known: device/,
    ],
    [
      'an unknown dtype',
      () => DeviceBuffer.allocate('fp32' as never, [2]),
      'ERR_DTYPE_MISMATCH',
      /DeviceBuffer: unknown dtype 'fp32'/,
    ],
    [
      'extents that are none',
      () => DeviceBuffer.allocate('float32', [2, 1.5]),
      'ERR_SHAPE_MISMATCH',
      /dims must be non-negative integers, received \[2, 1.5\]/,
    ],
    [
      'an extent',
      () => DeviceBuffer.allocate('float32', 2 as never),
      'ERR_SHAPE_MISMATCH',
      /dims must be .*received 2/,
    ],
    ['elements alone', () => DeviceBuffer.from(Float32Array.of(1) as never), 'ERR_DTYPE_MISMATCH', /unknown dtype/],
  ])('%s', async (_, call, code, message) => {
    await expect((async () => call())()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
