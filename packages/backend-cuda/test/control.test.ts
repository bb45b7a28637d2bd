/** Bodies of If, Loop and Scan on the device, run after run: what they carry never leaves it. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, type NetworkTensor, readNumbers, Tensor } from '@tensorwright/core';
import { type ExecutionContext, Runtime } from '@tensorwright/runtime';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, traced } from './support/emulator-play.js';

vi.setConfig({ testTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-control-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const file = join(folder, 'trace');
const floats = (...values: number[]): Tensor => new Tensor('float32', values, [values.length]);
const count = (n: number): Tensor => new Tensor('int64', [n], []);
const flag = (on: boolean): Tensor => new Tensor('bool', [on ? 1 : 0], []);
const numbers = (t: Tensor | undefined): number[] => [...readNumbers(t!)];

/** Runs the network's plan, all of whose steps must be the device's. */
async function withContext(
  define: (net: NetworkDefinition) => Record<string, NetworkTensor>,
  work: (context: ExecutionContext) => Promise<void>,
  backends: readonly string[] = ['cuda'],
): Promise<void> {
  const net = new NetworkDefinition('control');
  for (const [name, tensor] of Object.entries(define(net))) net.markOutput(tensor, name);
  const plan = await new Builder().build(net.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  expect([...new Set(plan.header.program.segments.map((s) => s.backend))]).toEqual(backends);
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext();
  await work(context);
}

describe.skipIf(!hasDevice)('control flow on the device', () => {
  it('takes one branch or the other', async () => {
    await withContext(
      (net) => {
        const x = net.addInput('x', 'float32', ['n']);
        const [y] = net.addIf(
          net.addInput('c', 'bool', []),
          [x],
          (t) => [net.addUnary(t, 'neg')],
          (t) => [net.addConcatenation([t, t], 0)],
        );
        return { y: net.addElementWise(y!, y!, 'sum') };
      },
      async (context) => {
        for (const on of [true, false, false, true, true, false, true]) {
          const { y } = await context.run({ x: floats(1, 2, 3), c: flag(on) });
          expect(numbers(y)).toEqual(on ? [-2, -4, -6] : [2, 4, 6, 2, 4, 6]);
        }
        const { y } = await context.run({ x: floats(5), c: flag(true) });
        expect(numbers(y)).toEqual([-10]);
      },
    );
  });

  it('takes the condition from what the device has computed', async () => {
    await withContext(
      (net) => {
        const x = net.addInput('x', 'float32', [4]);
        const sum = net.addReduce(x, 'sum', [0]);
        const zero = net.addConstant(new Tensor('float32', [0], []));
        const [y] = net.addIf(
          net.addElementWise(sum, zero, 'greater'),
          [x],
          (t) => [net.addElementWise(t, t, 'sum')],
          (t) => [net.addElementWise(t, t, 'prod')],
        );
        return { y: y! };
      },
      async (context) => {
        expect(numbers((await context.run({ x: floats(1, 2, 3, -4) })).y)).toEqual([2, 4, 6, -8]);
        expect(numbers((await context.run({ x: floats(1, 2, -3, -4) })).y)).toEqual([1, 4, 9, 16]);
      },
    );
  });

  /** Carries x(k+1) = x(k) + 1, stacks x(k+1) times x(0). */
  const counting = (net: NetworkDefinition): Record<string, NetworkTensor> => {
    const x = net.addInput('x', 'float32', ['n']);
    const one = net.addConstant(floats(1));
    const { carried, stacked } = net.addLoop(
      { tripCount: net.addInput('trips', 'int64', []), carried: [x], captures: [x] },
      (it) => {
        const next = net.addElementWise(it.carried[0]!, one, 'sum');
        return { carried: [next], stacked: [net.addElementWise(next, it.captures[0]!, 'prod'), it.iteration] };
      },
    );
    return { last: carried[0]!, trail: stacked[0]!, steps: stacked[1]! };
  };

  it('carries values through a loop and gathers what it stacks', async () => {
    await withContext(counting, async (context) => {
      for (const trips of [4, 9, 0, 1, 4, 4, 30, 4]) {
        for (const x of [
          [1, 2, 3],
          [5, 7],
        ]) {
          const { last, trail, steps } = await context.run({ x: floats(...x), trips: count(trips) });
          expect(numbers(last)).toEqual(x.map((v) => v + trips));
          expect(trail!.dims).toEqual([trips, trips === 0 ? trail!.dims[1] : x.length]);
          expect(numbers(trail)).toEqual(Array.from({ length: trips }, (_, k) => x.map((v) => (v + k + 1) * v)).flat());
          expect(numbers(steps)).toEqual(Array.from({ length: trips }, (_, k) => k));
        }
      }
    });
  });

  it.skipIf(!isEmulated)('plays what it has recorded, and carries nothing to the host', async () => {
    const carrying = (net: NetworkDefinition): Record<string, NetworkTensor> => {
      const x = net.addInput('x', 'float32', [64]);
      const one = net.addConstant(floats(1));
      const { carried } = net.addLoop({ tripCount: net.addConstant(count(20)), carried: [x] }, (it) => ({
        carried: [net.addElementWise(it.carried[0]!, one, 'sum')],
      }));
      return { y: carried[0]! };
    };
    await withContext(carrying, async (context) => {
      const x = new Tensor(
        'float32',
        Float32Array.from({ length: 64 }, (_, i) => i),
        [64],
      );
      for (let run = 0; run < 3; run++) await context.run({ x });
      const lines = await traced(file, () => context.run({ x }));
      // The input comes, the result goes: 20 iterations in between.
      expect(lines.filter((l) => l.startsWith('copy host') || l.startsWith('copy device to host'))).toHaveLength(2);
      expect(lines.filter((l) => l.startsWith('graph')).length).toBeGreaterThanOrEqual(20);
      expect(numbers((await context.run({ x })).y)).toEqual(Array.from({ length: 64 }, (_, i) => i + 20));
    });
  });

  it('ends a loop by what it computes', async () => {
    await withContext(
      (net) => {
        const x = net.addInput('x', 'float32', []);
        const limit = net.addConstant(new Tensor('float32', [100], []));
        const { carried } = net.addLoop({ condition: net.addConstant(flag(true)), carried: [x] }, (it) => {
          const next = net.addElementWise(it.carried[0]!, it.carried[0]!, 'sum');
          return { condition: net.addElementWise(next, limit, 'less'), carried: [next] };
        });
        return { y: carried[0]! };
      },
      async (context) => {
        for (const [from, to] of [
          [1, 128],
          [3, 192],
          [200, 400],
          [1, 128],
        ])
          expect(numbers((await context.run({ x: new Tensor('float32', [from!], []) })).y)).toEqual([to]);
      },
    );
  });

  it('lets a loop grow what it carries', async () => {
    await withContext(
      (net) => {
        const start = net.addInput('x', 'float32', ['n']);
        const { carried } = net.addLoop({ tripCount: net.addInput('trips', 'int64', []), carried: [start] }, (it) => ({
          carried: [net.addConcatenation([it.carried[0]!, it.carried[0]!], 0)],
        }));
        return { y: carried[0]! };
      },
      async (context) => {
        for (const trips of [3, 1, 5, 0])
          expect(numbers((await context.run({ x: floats(1, 2), trips: count(trips) })).y)).toEqual(
            Array.from({ length: 2 ** trips }, () => [1, 2]).flat(),
          );
      },
    );
  });

  it.each([false, true])('scans, backwards: %s', async (reverse) => {
    await withContext(
      (net) => {
        const x = net.addInput('x', 'float32', ['n', 3]);
        const zero = net.addConstant(new Tensor('float32', [0, 0, 0], [3]));
        const { carried, stacked } = net.addScan({ carried: [zero], scanned: [{ tensor: x, reverse }] }, (it) => {
          const total = net.addElementWise(it.carried[0]!, it.scanned[0]!, 'sum');
          return { carried: [total], stacked: [total] };
        });
        return { total: carried[0]!, sums: stacked[0]! };
      },
      async (context) => {
        for (const n of [5, 2, 5, 5, 1, 5]) {
          const rows = Array.from({ length: n }, (_, i) => [i, i * i, 1 - i]);
          const x = new Tensor('float32', rows.flat(), [n, 3]);
          const { total, sums } = await context.run({ x });
          const order = reverse ? rows.toReversed() : rows;
          const running = order.map((_, k) =>
            [0, 1, 2].map((c) => order.slice(0, k + 1).reduce((s, r) => s + r[c]!, 0)),
          );
          expect(numbers(sums)).toEqual(running.flat());
          expect(numbers(total)).toEqual(running.at(-1));
        }
      },
    );
  });

  it('runs loops inside of loops, with extents that only the run knows', async () => {
    await withContext(
      (net) => {
        const x = net.addInput('x', 'float32', ['n']);
        const outer = net.addLoop({ tripCount: net.addConstant(count(3)), carried: [x] }, (it) => {
          const inner = net.addLoop({ tripCount: it.iteration, carried: [it.carried[0]!] }, (deep) => ({
            carried: [net.addElementWise(deep.carried[0]!, deep.carried[0]!, 'sum')],
          }));
          const picked = net.addNonZero(inner.carried[0]!);
          return {
            carried: [inner.carried[0]!],
            stacked: [net.addReduce(picked, 'max', [1])],
          };
        });
        return { y: outer.carried[0]!, last: outer.stacked[0]! };
      },
      async (context) => {
        for (const x of [
          [1, 0, 2, 0],
          [0, 0, 3],
          [1, 0, 2, 0],
        ]) {
          // 0, then 1, then 2 doublings.
          const { y, last } = await context.run({ x: floats(...x) });
          expect(numbers(y)).toEqual(x.map((v) => 8 * v));
          expect(numbers(last)).toEqual([2, 2, 2]);
        }
      },
    );
  });
});
