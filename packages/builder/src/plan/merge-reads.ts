/**
 * Extents that values decide are read by the host, which waits for the device each time. Steps are put into an order in
 * which many reads come together, level by level of what depends on what, and those become one: one copy, one wait.
 */

import { type PlanOperand, type PlanStep, type PlanValue } from '@tensorwright/core';
import type { ExpressionTable } from './expressions.js';
import { liveBytes, sizesIn } from './place-in-arenas.js';
import { dependenciesOf } from './step-dependencies.js';

/** A step, and who runs it. */
export type Placed = readonly [step: PlanStep, backend: string];

/** What one read may carry; the native kernel takes no more. */
const mostExtents = 1024;
/** Of the memory that steps need in their own order, and in bytes: what results that wait for others may take besides. */
const [extraFraction, extraBytes] = [0.25, 16 * 2 ** 20];

interface Schedule {
  /** Reads that become one, at most. */
  readonly together: number;
  /** Before all that no extent depends on, so that the device has work while the host goes on. */
  readonly first: boolean;
}

/** The first that needs no more memory than it may is taken. */
const schedules: readonly Schedule[] = [
  { together: mostExtents, first: true },
  ...[mostExtents, 64, 16, 4, 2].map((together) => ({ together, first: false })),
];

/** @param values merged reads add some. @param outputs of the program */
export async function mergeReads(
  placed: readonly Placed[],
  values: PlanValue[],
  table: ExpressionTable,
  outputs: readonly number[],
  breathe: () => Promise<void>,
): Promise<readonly Placed[]> {
  const steps = placed.map(([step]) => step);
  const reads = steps.flatMap((step, i) => (isMergeable(step, values) ? [i] : []));
  if (reads.length < 2) return placed;
  const needs = dependenciesOf(steps, values, table);
  const levels = levelsOf(needs, new Set(reads));
  const extentsOf = (read: number): number => extentsIn(steps[read]!, values, table);
  await breathe();
  const sizes = sizesIn(values, table);
  const bytesIn = (ordered: readonly PlanStep[]): number => liveBytes(values, ordered, outputs, sizes);
  const own = bytesIn(steps);
  const most = own + Math.max(own * extraFraction, extraBytes);
  for (const schedule of schedules) {
    await breathe();
    const rounds = roundsOf(reads, levels, extentsOf, schedule.together);
    const order = inRounds(needs, rounds, schedule.first ? startOf(steps, values) : undefined);
    if (bytesIn(order.map((i) => steps[i]!)) > most) continue;
    return merged(order, rounds, placed, values, table);
  }
  return placed;
}

/** Reads of extents that nothing else looks at through a view. */
function isMergeable({ kernel, inputs }: PlanStep, values: readonly PlanValue[]): boolean {
  return (
    kernel === 'extents' && inputs.every((o) => o && !o.dims) && values[inputs[1]!.value]!.storage.kind === 'arena'
  );
}

/** How many a read carries: an output may have several, and what only checks its inputs has one without any. */
function extentsIn(
  { inputs }: Pick<PlanStep, 'inputs'>,
  values: readonly PlanValue[],
  { expressions }: ExpressionTable,
): number {
  const [length] = values[inputs[1]!.value]!.dims!;
  return expressions[length!]![0] as number;
}

/** Per step how many reads have to come before it, one after the other. */
function levelsOf(needs: readonly ReadonlySet<number>[], reads: ReadonlySet<number>): number[] {
  const levels: number[] = [];
  for (const earlier of needs) levels.push(Math.max(0, ...[...earlier].map((e) => levels[e]! + Number(reads.has(e)))));
  return levels;
}

/** Reads of one level, in their order. */
function roundsOf(
  reads: readonly number[],
  levels: readonly number[],
  extentsOf: (read: number) => number,
  together: number,
): readonly (readonly number[])[] {
  const open = new Map<number, { readonly members: number[]; extents: number }>();
  const rounds: (readonly number[])[] = [];
  for (const read of reads) {
    const extents = extentsOf(read);
    let round = open.get(levels[read]!);
    if (!round || round.members.length >= together || round.extents + extents > mostExtents) {
      round = { members: [], extents: 0 };
      rounds.push(round.members);
      open.set(levels[read]!, round);
    }
    round.members.push(read);
    round.extents += extents;
  }
  return rounds;
}

/** How many steps carry inputs over, which come first. */
function startOf(steps: readonly PlanStep[], values: readonly PlanValue[]): number {
  const other = steps.findIndex(
    ({ kernel, inputs }) => kernel !== 'transfer' || values[inputs[0]!.value]!.storage.kind !== 'input',
  );
  return other < 0 ? steps.length : other;
}

/**
 * The steps' order with the members of each round next to each other: all steps stay as they are but for what members
 * need, which moves before the first of them.
 * @param start where all rounds begin; undefined: each at its first member
 */
function inRounds(
  needs: readonly ReadonlySet<number>[],
  rounds: readonly (readonly number[])[],
  start: number | undefined,
): number[] {
  const roundOf = new Map(rounds.flatMap((round) => round.map((member) => [member, round] as const)));
  const order: number[] = [];
  const done = new Set<number>();
  const put = (step: number): void => {
    if (done.has(step)) return;
    done.add(step);
    order.push(step);
  };
  const putRound = (round: readonly number[]): void => {
    const wanted = new Set<number>();
    const stack = [...round];
    while (stack.length > 0)
      for (const earlier of needs[stack.pop()!]!) {
        if (done.has(earlier) || wanted.has(earlier)) continue;
        wanted.add(earlier);
        stack.push(earlier);
      }
    // Members are of one level: what they need are rounds of lower ones.
    for (const step of [...wanted].sort((a, b) => a - b)) putStep(step);
    round.forEach(put);
  };
  const putStep = (step: number): void => {
    const round = roundOf.get(step);
    if (round && !done.has(step)) putRound(round);
    else put(step);
  };
  for (let step = 0; step < (start ?? 0); step++) putStep(step);
  if (start !== undefined) rounds.forEach((round) => putStep(round[0]!));
  needs.forEach((_, step) => {
    putStep(step);
  });
  return order;
}

/** The steps in this order, with one read for each round, of memory that what counts has written together. */
function merged(
  order: readonly number[],
  rounds: readonly (readonly number[])[],
  placed: readonly Placed[],
  values: PlanValue[],
  table: ExpressionTable,
): Placed[] {
  const together = new Map<number, PlanStep>();
  const within = new Map<number, PlanOperand>();
  for (const round of rounds) {
    if (round.length < 2) continue;
    const members = round.map((i) => placed[i]![0]);
    together.set(round[0]!, mergedRead(members, within, values, table));
  }
  const left = new Set(rounds.flatMap((round) => (round.length < 2 ? [] : round.slice(1))));
  const moved = (o: PlanOperand | null): PlanOperand | null => (o && within.get(o.value)) ?? o;
  return order.flatMap((i): Placed[] => {
    if (left.has(i)) return [];
    const [step, backend] = placed[i]!;
    const read = together.get(i);
    return [[read ?? { ...step, inputs: step.inputs.map(moved), outputs: step.outputs.map(moved) }, backend]];
  });
}

/** @param within gets where the memory of each member lies in that of all. */
function mergedRead(
  members: readonly PlanStep[],
  within: Map<number, PlanOperand>,
  values: PlanValue[],
  table: ExpressionTable,
): PlanStep {
  const numbers: number[] = [];
  const shapes: string[] = [];
  const nodes: string[] = [];
  let extents = 0;
  const whole = values.length;
  for (const { inputs, attributes, layer } of members) {
    const [given, found] = inputs.map((o) => values[o!.value]!);
    const [firstNumber, firstExtent] = [numbers.length, extents];
    for (const shape of (attributes['dims'] ?? []) as readonly string[])
      shapes.push(
        shape.replace(/([de])(\d+)/g, (_, kind: string, index: string) =>
          kind === 'd' ? `d${String(firstNumber + Number(index))}` : `e${String(firstExtent + Number(index))}`,
        ),
      );
    if (given?.storage.kind === 'dims') numbers.push(...given.storage.elements);
    const [length] = found!.dims!;
    const count = extentsIn({ inputs }, values, table);
    within.set(inputs[1]!.value, {
      value: whole,
      ...(extents > 0 && { offset: table.index(extents) }),
      dims: [length!],
      strides: [table.index(1)],
    });
    for (let k = 0; k < count; k++) nodes.push(layer.name);
    extents += count;
  }
  const { memory } = values[members[0]!.inputs[1]!.value]!;
  values.push({
    dtype: 'int64',
    dims: [table.index(extents)],
    storage: { kind: 'arena', offset: 0, bytes: 0 },
    ...(memory && { memory }),
  });
  const given = values.push({
    dtype: 'int64',
    dims: [table.index(numbers.length)],
    storage: { kind: 'dims', elements: numbers },
  });
  return {
    kernel: 'extents',
    attributes: { ...(shapes.length > 0 && { dims: shapes }), nodes },
    inputs: [{ value: given - 1 }, { value: whole }],
    outputs: members.flatMap((m) => m.outputs),
    layer: {
      name: members[0]!.layer.name,
      kind: 'extents',
      origins: [...new Set(members.flatMap((m) => m.layer.origins))],
      tactic: 'extents',
    },
  };
}
