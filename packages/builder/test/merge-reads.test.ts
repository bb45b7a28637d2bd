/** Reads of extents become few, steps stay behind what they need, and memory stays within its bound. */

import { createSymbol, type PlanOperand, type PlanStep, type PlanValue, symbolDim } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { ExpressionTable } from '../src/plan/expressions.js';
import { mergeReads, type Placed } from '../src/plan/merge-reads.js';
import { liveBytes, sizesIn } from '../src/plan/place-in-arenas.js';
import { dependenciesOf } from '../src/plan/step-dependencies.js';
import { withoutUnreadMoves } from '../src/plan/unread-moves.js';

/** A program in the making, on the device. */
class Program {
  readonly table = new ExpressionTable();
  readonly values: PlanValue[] = [];
  readonly placed: Placed[] = [];
  #symbols = 0;

  value(elements: number, kind: 'arena' | 'input' = 'arena'): number {
    const storage = kind === 'arena' ? ({ kind, offset: 0, bytes: 0 } as const) : ({ kind, index: 0 } as const);
    return this.values.push({ dtype: 'int64', dims: [this.table.index(elements)], storage, memory: 'cuda' }) - 1;
  }

  step(name: string, inputs: readonly number[], outputs: readonly number[], kernel = 'launch'): void {
    const operands = (list: readonly number[]): PlanOperand[] => list.map((value) => ({ value }));
    const layer = { name, kind: kernel, origins: [name], tactic: kernel };
    const step: PlanStep = { kernel, attributes: {}, inputs: operands(inputs), outputs: operands(outputs), layer };
    this.placed.push([step, 'cuda']);
  }

  /** What is picked of `from`: counted into memory of its own, read, and written to what is returned. @param list elements */
  pick(name: string, from: number, list = 8): number {
    const symbol = createSymbol(name, { min: 0, max: 100 });
    const extent = this.table.index(symbolDim(symbol));
    const result =
      this.values.push({
        dtype: 'int64',
        dims: [extent],
        storage: { kind: 'heap' },
        memory: 'cuda',
        binds: [[0, this.#symbols++]],
      }) - 1;
    const [places, count] = [this.value(list), this.value(1)];
    const numbers =
      this.values.push({ dtype: 'int64', dims: [this.table.index(0)], storage: { kind: 'dims', elements: [] } }) - 1;
    this.step(`${name}.count`, [from], [places, count]);
    this.step(`${name}.read`, [numbers, count], [result], 'extents');
    const [read, backend] = this.placed.pop()!;
    this.placed.push([{ ...read, attributes: { dims: ['e0'] } }, backend]);
    this.step(`${name}.write`, [places], [result]);
    return result;
  }

  /** @param breathe called between slices of the work */
  async merged(breathe: () => Promise<void> = () => Promise.resolve()): Promise<readonly PlanStep[]> {
    return (await mergeReads(this.placed, this.values, this.table, [], breathe)).map(([step]) => step);
  }

  liveBytes(steps: readonly PlanStep[]): number {
    return liveBytes(this.values, steps, [], sizesIn(this.values, this.table));
  }
}

const names = (steps: readonly PlanStep[]): string[] => steps.map((s) => s.layer.name);

/** Every step comes after what it needed in the order that it was made in. */
function expectOrdered(program: Program, steps: readonly PlanStep[]): void {
  const before = program.placed.map(([s]) => s);
  const needs = dependenciesOf(before, program.values, program.table);
  const at = (step: PlanStep): number =>
    steps.findIndex(
      (s) => s.layer.name === step.layer.name || (s.kernel === 'extents' && s.layer.origins.includes(step.layer.name)),
    );
  before.forEach((step, i) => {
    expect(at(step)).toBeGreaterThanOrEqual(0);
    for (const earlier of needs[i]!) expect(at(before[earlier]!)).toBeLessThanOrEqual(at(step));
  });
}

describe('reads of extents', () => {
  it('come together where none needs another, before all that they do not need', async () => {
    const p = new Program();
    const x = p.value(8);
    p.step('x', [], [x]);
    const other = p.value(8);
    p.step('other', [x], [other]);
    for (const name of ['a', 'b', 'c']) p.pick(name, x);
    const steps = await p.merged();
    expect(names(steps)).toEqual([
      'x',
      'a.count',
      'b.count',
      'c.count',
      'a.read',
      'other',
      'a.write',
      'b.write',
      'c.write',
    ]);
    const read = steps.find((s) => s.kernel === 'extents')!;
    expect(read.attributes).toEqual({ dims: ['e0', 'e1', 'e2'], nodes: ['a.read', 'b.read', 'c.read'] });
    expect(read.outputs).toHaveLength(3);
    // All count into one piece of memory.
    const counts = steps.filter((s) => s.layer.name.endsWith('.count')).map((s) => s.outputs[1]!);
    expect(new Set(counts.map((c) => c.value))).toEqual(new Set([read.inputs[1]!.value]));
    expect(counts.map((c) => (c.offset === undefined ? [0] : p.table.expressions[c.offset]))).toEqual([[0], [1], [2]]);
    expectOrdered(p, steps);
  });

  it('come level by level', async () => {
    const p = new Program();
    const x = p.value(8);
    p.step('x', [], [x]);
    for (const name of ['a', 'b', 'c']) p.pick(`${name}2`, p.pick(`${name}1`, x));
    const steps = await p.merged();
    expect(steps.filter((s) => s.kernel === 'extents').map((s) => s.layer.origins)).toEqual([
      ['a1.read', 'b1.read', 'c1.read'],
      ['a2.read', 'b2.read', 'c2.read'],
    ]);
    expectOrdered(p, steps);
  });

  it('stay where they are when each needs the one before', async () => {
    const p = new Program();
    let x = p.value(8);
    p.step('x', [], [x]);
    for (const name of ['a', 'b', 'c']) x = p.pick(name, x);
    const before = names(p.placed.map(([s]) => s));
    expect(names(await p.merged())).toEqual(before);
  });

  it('keep what is changed in place behind those that read it as it was', async () => {
    const p = new Program();
    const x = p.value(8);
    p.step('x', [], [x]);
    p.pick('a', x);
    p.step('change', [x], [x]);
    p.pick('b', x);
    const steps = await p.merged();
    const order = names(steps);
    expect(order.indexOf('a.count')).toBeLessThan(order.indexOf('change'));
    expect(order.indexOf('change')).toBeLessThan(order.indexOf('b.count'));
    expectOrdered(p, steps);
  });

  it('that only check what the next step relies on come before it', async () => {
    const p = new Program();
    const x = p.value(8);
    p.step('x', [], [x]);
    const [parameters, valid, numbers, y] = [p.value(4), p.value(1), p.value(0), p.value(8)];
    p.values[numbers] = { dtype: 'int64', dims: [p.table.index(0)], storage: { kind: 'dims', elements: [] } };
    p.step('move.count', [x], [parameters, valid]);
    p.step('move.read', [numbers, valid], [], 'extents');
    p.step('move.write', [x, parameters], [y]);
    p.pick('a', x);
    p.pick('b', y);
    const steps = await p.merged();
    expect(steps.filter((s) => s.kernel === 'extents').map((s) => s.layer.origins)).toEqual([
      ['move.read', 'a.read'],
      ['b.read'],
    ]);
    const order = names(steps);
    expect(order.indexOf('move.read')).toBeLessThan(order.indexOf('move.write'));
    expectOrdered(p, steps);
  });

  it('are left apart where what waits for them would take too much memory', async () => {
    const p = new Program();
    const x = p.value(8);
    p.step('x', [], [x]);
    // Of 8 MiB each: three at a time are too much.
    for (let i = 0; i < 40; i++) p.pick(`p${String(i)}`, x, 2 ** 20);
    const steps = p.placed.map(([s]) => s);
    const own = p.liveBytes(steps);
    const merged = await p.merged();
    const reads = merged.filter((s) => s.kernel === 'extents').length;
    expect(reads).toBe(20);
    expect(p.liveBytes(merged)).toBeLessThanOrEqual(own + 2 ** 24);
    expectOrdered(p, merged);
  });

  it('give way to others between one order and the next', async () => {
    const p = new Program();
    const x = p.value(8);
    p.step('x', [], [x]);
    // Orders that bring many together need too much memory: several are weighed.
    for (let i = 0; i < 40; i++) p.pick(`p${String(i)}`, x, 2 ** 20);
    let breaths = 0;
    await p.merged(() => {
      breaths++;
      return Promise.resolve();
    });
    expect(breaths).toBeGreaterThan(3);
  });
});

describe('moves that nobody reads', () => {
  it('are left out, with those that only they read', () => {
    const p = new Program();
    const [x, y, z, read, dead, deader] = [p.value(8), p.value(8), p.value(8), p.value(8), p.value(8), p.value(8)];
    p.step('x', [], [x]);
    p.step('carry', [x], [read], 'transfer');
    p.step('carry needlessly', [x], [dead], 'transfer');
    p.step('copy that', [dead], [deader], 'copy');
    p.step('compute needlessly', [x], [z]);
    p.step('y', [read], [y]);
    const kept = withoutUnreadMoves(p.placed, p.values, [y]).map(([s]) => s);
    expect(names(kept)).toEqual(['x', 'carry', 'compute needlessly', 'y']);
    // Timed alone, a step may be nothing but a move.
    expect(withoutUnreadMoves(p.placed, p.values, [])).toHaveLength(6);
  });
});
