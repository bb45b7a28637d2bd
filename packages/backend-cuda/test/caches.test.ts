/** Caches that steps of a decoder append to, in memory of the device that stays the user's: where they lie, and copied where not. */

import { Builder } from '@tensorwright/builder';
import { readNumbers, Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { type ContextOptions, DeviceBuffer, type ExecutionContext, Runtime } from '@tensorwright/runtime';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { INT64, modelBytes, node, tensorInfo } from '../../parser-onnx/test/support/handmade-model.js';
import { hasDevice } from './compare.js';

vi.setConfig({ testTimeout: 120_000 });

const [heads, positions, size] = [2, 64, 4];
const cacheDims = [1, heads, positions, size];
const freshDims = [1, heads, 1, size];
const cacheBytes = heads * positions * size * 4;

/** What else reads the cache as it was: nothing, a step before it is written, one behind. */
type Reader = 'none' | 'old';

/** present = cache with one more position, y = softmax of the sums of its positions. */
const model = (reader: Reader): Uint8Array =>
  modelBytes({
    input: [
      tensorInfo('cache', cacheDims),
      tensorInfo('fresh', freshDims),
      tensorInfo('at', [1, heads, 1, size], INT64),
    ],
    output: [tensorInfo('present', cacheDims), tensorInfo('y', [1, heads, positions])],
    initializer: [{ name: 'axes', dims: [1], dataType: INT64, int64Data: [3] }],
    node: [
      node('ScatterElements', ['cache', 'at', 'fresh'], ['present'], {
        attribute: [{ name: 'axis', type: 2, i: 2 }],
      }),
      node('ReduceSum', ['present', 'axes'], ['sums'], { attribute: [{ name: 'keepdims', type: 2, i: 0 }] }),
      ...(reader === 'old'
        ? [
            node('ReduceSum', ['cache', 'axes'], ['before'], { attribute: [{ name: 'keepdims', type: 2, i: 0 }] }),
            node('Sub', ['sums', 'before'], ['grown']),
          ]
        : [node('Identity', ['sums'], ['grown'])]),
      node('Softmax', ['grown'], ['y'], { attribute: [{ name: 'axis', type: 2, i: -1 }] }),
    ],
  });

const floats = (dims: readonly number[], of: (i: number) => number): Tensor =>
  new Tensor(
    'float32',
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => of(i)),
    dims,
  );
const start = floats(cacheDims, (i) => ((i * 37) % 101) / 100 - 0.5);
const freshAt = (step: number): Tensor => floats(freshDims, (i) => Math.sin(step * 10 + i));
const placesAt = (step: number): Tensor =>
  new Tensor(
    'int64',
    BigInt64Array.from({ length: heads * size }, () => BigInt((step * 5) % positions)),
    freshDims,
  );

interface Step {
  readonly present: readonly number[];
  readonly y: readonly number[];
}

const steps = 8;

/** What ONNX Runtime says, step by step. */
async function expected(reader: Reader, from = start): Promise<Step[]> {
  const session = await InferenceSession.create(model(reader), { logSeverityLevel: 4 });
  const toOrt = (t: Tensor): OrtTensor => new OrtTensor(t.dtype as never, t.data as never, [...t.dims]);
  let cache = toOrt(from);
  const found: Step[] = [];
  for (let s = 0; s < steps; s++) {
    const { present, y } = await session.run({ cache, fresh: toOrt(freshAt(s)), at: toOrt(placesAt(s)) });
    found.push({ present: [...(present!.data as Float32Array)], y: [...(y!.data as Float32Array)] });
    cache = present!;
  }
  return found;
}

const plans = new Map<Reader, Uint8Array>();
const wanted = new Map<Reader, Step[]>();

async function withContext(reader: Reader, options: ContextOptions, work: (c: ExecutionContext) => Promise<void>) {
  await using engine = await Runtime.load(plans.get(reader)!);
  await using context = engine.createContext(options);
  await work(context);
}

const numbers = async (t: Tensor | DeviceBuffer): Promise<number[]> => [
  ...readNumbers(t instanceof Tensor ? t : await t.read()),
];

function expectNear(got: readonly number[], want: readonly number[]): void {
  expect(got.length).toBe(want.length);
  got.forEach((v, i) => {
    expect(Math.abs(v - want[i]!)).toBeLessThan(1e-5);
  });
}

type Place = Tensor | DeviceBuffer;

/** Runs the steps, with the cache and what becomes of it in these places; gives the bytes that each run copied. */
async function decode(
  context: ExecutionContext,
  reader: Reader,
  places: (step: number) => { readonly cache: Place; readonly present: DeviceBuffer | undefined },
): Promise<number[]> {
  const copied: number[] = [];
  for (const [s, want] of wanted.get(reader)!.entries()) {
    const { cache, present } = places(s);
    const before = context.deviceWork()!.copiedBytes;
    const found = await context.run<Place>(
      { cache, fresh: freshAt(s), at: placesAt(s) },
      present ? { outputs: { present } } : {},
    );
    copied.push(context.deviceWork()!.copiedBytes - before);
    last = found['present'] as Tensor;
    expectNear(await numbers(found['present']!), want.present);
    expectNear(await numbers(found['y']!), want.y);
  }
  return copied;
}

let last: Tensor = start;
/** Of a run that copies no cache: new keys, where they go, and y. */
const little = 4 * heads * size + 8 * heads * size + 4 * heads * positions;

describe.skipIf(!hasDevice)('a cache that a step appends to', () => {
  beforeAll(async () => {
    for (const reader of ['none', 'old'] as const) {
      const network = await OnnxParser.parse(model(reader));
      const plan = await new Builder().build(network, { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
      plans.set(reader, await plan.toBytes());
      wanted.set(reader, await expected(reader));
    }
  });

  it.each([{}, { graphs: false }])('is changed where it lies: only what is new is copied (%o)', async (options) => {
    await withContext('none', options, async (context) => {
      using both = await DeviceBuffer.from(start);
      const copied = await decode(context, 'none', () => ({ cache: both, present: both }));
      expect(copied).toEqual(copied.map(() => little));
      if (Object.keys(options).length === 0) expect(context.deviceWork()!.graphLaunches).toBeGreaterThan(steps / 2);
    });
  });

  it('is copied once from one buffer to the other, where two take turns', async () => {
    await withContext('none', {}, async (context) => {
      const buffers = [await DeviceBuffer.from(start), DeviceBuffer.allocate('float32', cacheDims)] as const;
      const copied = await decode(context, 'none', (s) => ({
        cache: buffers[s % 2]!,
        present: buffers[(s + 1) % 2]!,
      }));
      expect(copied.slice(3)).toEqual(copied.slice(3).map(() => little + cacheBytes));
      for (const b of buffers) b.close();
    });
  });

  it('passes from one memory to the other', async () => {
    await withContext('none', {}, async (context) => {
      using buffer = await DeviceBuffer.from(start);
      // From the device to the host and back.
      const copied = await decode(context, 'none', (s) =>
        s % 2 === 0 ? { cache: buffer, present: undefined } : { cache: last, present: buffer },
      );
      for (const bytes of copied) expect(bytes).toBeLessThanOrEqual(little + 2 * cacheBytes);
    });
  });

  it('leaves what it was made of as it was, where that is another buffer', async () => {
    await withContext('none', {}, async (context) => {
      using given = await DeviceBuffer.from(start);
      for (let run = 0; run < 4; run++) {
        const { present } = await context.run<Place>({ cache: given, fresh: freshAt(0), at: placesAt(0) });
        expectNear(await numbers(present!), wanted.get('none')![0]!.present);
        expect(await numbers(given)).toEqual([...readNumbers(start)]);
      }
    });
  });

  it.each([{}, { graphs: false }, { poison: true }])('is kept for what reads it as it was (%o)', async (options) => {
    await withContext('old', options, async (context) => {
      using both = await DeviceBuffer.from(start);
      await decode(context, 'old', () => ({ cache: both, present: both }));
    });
  });

  it.each([{ poison: true }, { debug: true }])('works with %o', async (options) => {
    await withContext('none', options, async (context) => {
      using both = await DeviceBuffer.from(start);
      await decode(context, 'none', () => ({ cache: both, present: both }));
    });
  });

  it('is each context’s own, while several run', async () => {
    await using engine = await Runtime.load(plans.get('none')!);
    const all = Array.from({ length: 3 }, async () => {
      await using context = engine.createContext();
      using both = await DeviceBuffer.from(start);
      for (const [s, want] of wanted.get('none')!.entries()) {
        const inputs = { cache: both, fresh: freshAt(s), at: placesAt(s) };
        const { y } = await context.run<Place>(inputs, { outputs: { present: both } });
        expectNear(await numbers(y!), want.y);
      }
      expectNear(await numbers(both), wanted.get('none')!.at(-1)!.present);
    });
    await Promise.all(all);
  });

  it('may be given up for other buffers in the middle', async () => {
    await withContext('none', {}, async (context) => {
      const buffers = await Promise.all(Array.from({ length: 3 }, () => DeviceBuffer.from(start)));
      await decode(context, 'none', (s) => {
        const from = buffers[Math.floor(s / 3)]!;
        const to = buffers[Math.floor((s + 1) / 3)]!;
        return { cache: from, present: to };
      });
      for (const b of buffers) b.close();
    });
  });
});
