/** Cancelling, closing, many contexts, worker threads, memory over time. */

import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { loadNative, type NativeTensor, type PlanProgram } from '@tensorwright/native';
import { describe, expect, test } from 'vitest';
import { counting, float32, int64, numbersOf, ProgramBuilder } from './support/program-builder.js';

const native = loadNative();
// The file itself, for workers, which have no TypeScript loader.
const addon = (process.report.getReport() as { sharedObjects: string[] }).sharedObjects.find((path) =>
  path.endsWith('tensorwright.node'),
)!;

/** x → `steps` times the cumulative sum of a matrix: as long as one likes. */
function chain(steps: number, dims: number[]): PlanProgram {
  const b = new ProgramBuilder();
  const bytes = 4 * dims.reduce((p, d) => p * d, 1);
  let value = b.input('float32', dims);
  const places = [b.arena('float32', dims, bytes), b.arena('float32', dims, bytes)];
  for (let i = 0; i < steps; i++) {
    const next = places[i % 2]!;
    b.step('cumSum', { axis: 0 }, [value], [next]);
    value = next;
  }
  return b.build([value]);
}

/** Never ends by itself. */
function endless(): PlanProgram {
  const body = new ProgramBuilder();
  body.input('int64', []);
  const go = body.input('bool', []);
  const x = body.input('float32', [64]);
  const next = body.heap('float32', [64]);
  body.step('softmax', { axis: 0 }, [x], [next]);
  const b = new ProgramBuilder();
  const x0 = b.input('float32', [64]);
  const last = b.heap('float32', [64]);
  b.step('loop', { carried: 1, scans: 0 }, [null, null, x0], [last], [body.build([go, next])]);
  return b.build([last]);
}

const aborted = expect.objectContaining({ code: 'ERR_ABORTED' }) as Error;
const disposed = expect.objectContaining({ code: 'ERR_DISPOSED' }) as Error;

describe('cancelling', () => {
  test('ends an endless loop', async () => {
    const context = native.createProgram(endless(), null).createContext();
    const cancel = native.createCancelToken();
    const run = context.run([counting([64])], { cancel });
    await sleep(20);
    cancel.cancel();
    await expect(run).rejects.toEqual(aborted);
    // Given too late it does not even begin, here or queued.
    await expect(context.run([counting([64])], { cancel })).rejects.toEqual(aborted);
    expect(() => context.runSync([counting([64])], { cancel })).toThrow(aborted);
  });

  test('reaches runs that wait for their turn, and only those it was given to', async () => {
    const program = native.createProgram(endless(), null);
    const context = program.createContext();
    const first = native.createCancelToken();
    const others = native.createCancelToken();
    const runs = [first, others, others].map((cancel) => context.run([counting([64])], { cancel }));
    const limited = context.run([counting([64])], { maxIterations: 3 });
    others.cancel();
    await sleep(20);
    first.cancel();
    for (const run of runs) await expect(run).rejects.toEqual(aborted);
    await expect(limited).rejects.toMatchObject({ code: 'ERR_LIMIT_EXCEEDED' });
  });

  test('the event loop is free meanwhile', async () => {
    const context = native.createProgram(endless(), null).createContext();
    const cancel = native.createCancelToken();
    let settled = false;
    const run = context.run([counting([64])], { cancel }).catch(() => (settled = true));
    for (let i = 0; i < 5; i++) await sleep(1);
    expect(settled).toBe(false);
    cancel.cancel();
    await run;
    expect(settled).toBe(true);
  });
});

describe('closing', () => {
  test('is idempotent, and use afterwards is an error', async () => {
    const weights = native.openWeights(new Uint8Array(64));
    const program = native.createProgram(chain(3, [2]), weights);
    const context = program.createContext();
    for (const resource of [weights, program, context]) {
      expect(resource.closed).toBe(false);
      resource.close();
      resource.close();
      resource[Symbol.dispose]();
      expect(resource.closed).toBe(true);
    }
    expect(() => program.createContext()).toThrow(disposed);
    expect(() => native.createProgram(chain(1, [2]), weights)).toThrow(disposed);
    await expect(context.run([counting([2])])).rejects.toEqual(disposed);
    await expect(native.time(program, [[2]])).rejects.toEqual(disposed);
    expect(() => context.runSync([counting([2])])).toThrow(disposed);
    expect(() => context.memory()).toThrow(disposed);
  });

  test('lets runs that are under way end', async () => {
    const program = native.createProgram(chain(50, [64, 64]), null);
    const context = program.createContext();
    const runs = Array.from({ length: 4 }, () => context.run([counting([64, 64])]));
    context.close();
    program.close();
    const [first, ...rest] = (await Promise.all(runs)).map(([y]) => numbersOf(y));
    for (const result of rest) expect(result).toEqual(first);
  });

  test('a context outlives its program and its weights', async () => {
    const b = new ProgramBuilder();
    const k = b.value('float32', [3], { kind: 'constant', offset: 0, bytes: 12 });
    const y = b.heap('float32', [3]);
    b.step('cumSum', { axis: 0 }, [k], [y]);
    const weights = native.openWeights(new Uint8Array(Float32Array.of(1, 2, 3).buffer));
    const program = native.createProgram(b.build([y]), weights);
    weights.close();
    const context = program.createContext();
    program.close();
    expect(numbersOf((await context.run([]))[0])).toEqual([1, 3, 6]);
  });
});

describe('many at once', () => {
  test('contexts run in parallel, the runs of one in order', async () => {
    const program = native.createProgram(chain(20, [32, 16]), null);
    const inputOf = (i: number): NativeTensor => float32([32, 16], new Float32Array(512).fill(i));
    const alone = program.createContext();
    const expected = Array.from({ length: 20 }, (_, i) => alone.runSync([inputOf(i)])[0]!.data);
    const contexts = Array.from({ length: 6 }, () => program.createContext());
    const settled: number[][] = contexts.map(() => []);
    await Promise.all(
      contexts.flatMap((context, c) =>
        expected.map(async (data, i) => {
          const [y] = await context.run([inputOf(i)]);
          settled[c]!.push(i);
          expect(y?.data).toEqual(data);
        }),
      ),
    );
    expect(settled).toEqual(contexts.map(() => expected.map((_, i) => i)));
  });

  test('runSync takes its turn after queued runs', async () => {
    const context = native.createProgram(chain(5, [8]), null).createContext();
    const queued = Array.from({ length: 5 }, () => context.run([counting([8])]));
    const now = numbersOf(context.runSync([counting([8])])[0]);
    for (const run of queued) expect(numbersOf((await run)[0])).toEqual(now);
  });

  test('what must not happen during a run is refused', async () => {
    const context = native.createProgram(endless(), null).createContext();
    const cancel = native.createCancelToken();
    const run = context.run([counting([64])], { cancel });
    for (const call of [() => context.begin([counting([64])]), () => context.memory(), () => context.read(0)]) {
      expect(call).toThrow(/still in progress/);
    }
    cancel.cancel();
    await expect(run).rejects.toEqual(aborted);
  });
});

describe('worker threads', () => {
  const script = `
    const { workerData, parentPort } = require('node:worker_threads');
    const native = require(workerData.addon);
    const context = native.createContext(native.createProgram(workerData.endless, null, 2), false);
    const finite = native.createContext(native.createProgram(workerData.chain, null, 2), false);
    const x = { dtype: 'float32', dims: [64], data: Float32Array.from({ length: 64 }, (_, i) => i) };
    native.run(finite, [x], undefined, undefined, undefined).then(([y]) => {
      parentPort.postMessage(Array.from(y.data));
      // In flight, waiting behind it, and on other queues when the worker is terminated.
      for (let i = 0; i < 3; i++) native.run(context, [x], undefined, undefined, undefined);
      for (let i = 0; i < 3; i++) native.digest(new Uint8Array(1e6));
      native.run(native.createContext(native.createProgram(workerData.endless, null, 2), false), [x]);
      parentPort.postMessage('busy');
    });`;

  test('100 workers are terminated in the middle of runs', async () => {
    const workerData = { addon, endless: endless(), chain: chain(3, [64]) };
    const expected = numbersOf(
      native
        .createProgram(chain(3, [64]), null)
        .createContext()
        .runSync([counting([64])])[0],
    );
    for (let round = 0; round < 25; round++) {
      await Promise.all(
        Array.from({ length: 4 }, async () => {
          const worker = new Worker(script, { eval: true, workerData });
          const messages: unknown[] = [];
          await new Promise<void>((resolve, reject) => {
            worker.on('message', (m) => {
              messages.push(m);
              if (m === 'busy') resolve();
            });
            worker.on('error', reject);
          });
          expect(messages[0]).toEqual(expected);
          expect(await worker.terminate()).toBe(1);
        }),
      );
    }
  }, 120_000);

  test('a worker that has finished lets go of everything', async () => {
    const worker = new Worker(
      `require(require('node:worker_threads').workerData).digest(new Uint8Array(9)).then(() => {})`,
      {
        eval: true,
        workerData: addon,
      },
    );
    expect(await new Promise((resolve) => worker.on('exit', resolve))).toBe(0);
  });
});

describe('memory stays flat', () => {
  const residentAfter = async (runs: number, run: (i: number) => Promise<unknown>): Promise<number> => {
    for (let i = 0; i < runs; i++) await run(i);
    globalThis.gc?.();
    await sleep(10);
    return process.memoryUsage().rss;
  };
  const mebi = 2 ** 20;

  test('over many runs of changing and data-dependent shapes', async () => {
    const b = new ProgramBuilder();
    const n = b.symbol('N');
    const k = b.symbol('K');
    const x = b.input('float32', [n]);
    const t = b.heap('float32', [n]);
    const found = b.heap('int64', [1, k], { binds: [[1, 1]] });
    const sums = b.heap('int64', [1, k]);
    b.step('cumSum', { axis: 0 }, [x], [t])
      .step('nonZero', {}, [t], [found])
      .step('cumSum', { axis: 1 }, [found], [sums]);
    const context = native.createProgram(b.build([sums]), null).createContext();
    const run = (i: number): Promise<unknown> =>
      context.run([float32([(i * 7919) % 20_000], new Float32Array((i * 7919) % 20_000).fill(1))]);
    const before = await residentAfter(300, run);
    const used = context.memory();
    const after = await residentAfter(1500, run);
    expect(after - before).toBeLessThan(64 * mebi);
    expect(context.memory().heapBytes).toBeLessThan(2 * used.heapBytes + mebi);
  });

  test('over many programs and contexts', async () => {
    const once = async (): Promise<void> => {
      using weights = native.openWeights(new Uint8Array(mebi));
      using program = native.createProgram(chain(4, [256, 256]), weights);
      using context = program.createContext();
      await context.run([counting([256, 256])]);
    };
    const before = await residentAfter(30, once);
    const after = await residentAfter(120, once);
    // Each has more than 1.5 MiB.
    expect(after - before).toBeLessThan(64 * mebi);
  });

  test('a long loop with scan outputs leaves little behind', async () => {
    const body = new ProgramBuilder();
    body.input('int64', []);
    const go = body.input('bool', []);
    const x = body.input('float32', [256]);
    const next = body.heap('float32', [256]);
    const kept = body.heap('float32', [256]);
    body.step('softmax', { axis: 0 }, [x], [next]).step('cumSum', { axis: 0 }, [next], [kept]);
    const b = new ProgramBuilder();
    const n = b.symbol('N');
    const trips = b.input('int64', []);
    const x0 = b.input('float32', [256]);
    const all = b.heap('float32', [n, 256], { binds: [[0, 0]] });
    b.step('loop', { carried: 1, scans: 1 }, [trips, null, x0], [null, all], [body.build([go, next, kept])]);
    const context = native.createProgram(b.build([all]), null).createContext();
    const [result] = await context.run([int64([], [40_000]), counting([256])]);
    expect(result?.dims).toEqual([40_000, 256]);
    expect(Math.abs((result!.data as Float32Array).at(-1)! - 1)).toBeLessThan(1e-5);
    expect(context.memory().heapBytes).toBeLessThan(mebi);
  });
});
