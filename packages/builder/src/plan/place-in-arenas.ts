/** Gives offsets in the arena of their memory to the values of a program: lifetimes from the steps, sizes at the profiles' maximum. */

import {
  alignUp,
  byteLength,
  dimBounds,
  type DType,
  type ExpressionIndex,
  parsePlanExpression,
  type PlanProgram,
  type PlanStep,
  type PlanValue,
  productOf,
} from '@tensorwright/core';
import type { ExpressionTable } from './expressions.js';
import { type Lifetime, lowerBoundBytes, planMemory } from './memory.js';

const alignment = 64;
/** Vector loads and tensor maps want their operands on such boundaries. */
const deviceAlignment = 256;

export interface ArenaPlan {
  readonly values: readonly PlanValue[];
  readonly hostBytes: number;
  readonly deviceBytes: number;
  readonly lowerBound: MemoryBound;
}

/** Bytes of each memory that some step cannot do without, those of its bodies included. */
export interface MemoryBound {
  readonly host: number;
  readonly device: number;
}

export async function placeInArenas(
  values: readonly PlanValue[],
  steps: readonly PlanStep[],
  outputs: readonly number[],
  table: ExpressionTable,
  boundOf: (body: PlanProgram) => MemoryBound,
  breathe: () => Promise<void>,
): Promise<ArenaPlan> {
  const sizes = sizesIn(values, table);
  const lifetimes = lifetimesIn(values, steps, outputs, sizes);
  const touched = new Set(steps.flatMap((s) => [...s.inputs, ...s.outputs].flatMap((o) => (o ? [o.value] : []))));
  // What no step touches takes no room.
  const placed = values.map((v, i): PlanValue =>
    v.storage.kind === 'arena' && !touched.has(i) ? { ...v, storage: { kind: 'heap' } } : v,
  );
  const plan = async (memory: PlanValue['memory']): Promise<{ bytes: number; lowerBound: number }> => {
    const { ids, lives } = lifetimes(memory);
    const arena = await planMemory(lives, breathe);
    ids.forEach((id, k) => {
      placed[id] = {
        ...values[id]!,
        storage: { kind: 'arena', offset: arena.offsets[k]!, bytes: sizes[id]! },
      };
    });
    // A body has an arena of its own, while its step's values are alive.
    const bodies = steps.flatMap((step, s): Lifetime[] => {
      const bounds = (step.programs ?? []).map((p) => boundOf(p)[memory ? 'device' : 'host']);
      return [{ bytes: Math.max(0, ...bounds), first: s, last: s }];
    });
    const lowerBound = lowerBoundBytes([...lives, ...bodies.filter((b) => b.bytes > 0)]);
    return { bytes: arena.bytes, lowerBound };
  };
  const host = await plan(undefined);
  const device = await plan('cuda');
  return {
    values: placed,
    hostBytes: host.bytes,
    deviceBytes: device.bytes,
    lowerBound: { host: host.lowerBound, device: device.lowerBound },
  };
}

/**
 * Bytes of the arenas of both memories that some step cannot do without; bodies are left out.
 * @param sizes of the values, by `sizesIn`
 */
export function liveBytes(
  values: readonly PlanValue[],
  steps: readonly PlanStep[],
  outputs: readonly number[],
  sizes: readonly number[],
): number {
  const lifetimes = lifetimesIn(values, steps, outputs, sizes);
  return lowerBoundBytes(lifetimes(undefined).lives) + lowerBoundBytes(lifetimes('cuda').lives);
}

interface Lifetimes {
  /** Values of an arena that steps touch. */
  readonly ids: readonly number[];
  /** One for each. */
  readonly lives: readonly Lifetime[];
}

function lifetimesIn(
  values: readonly PlanValue[],
  steps: readonly PlanStep[],
  outputs: readonly number[],
  sizes: readonly number[],
): (memory: PlanValue['memory']) => Lifetimes {
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  steps.forEach((step, s) => {
    for (const operand of [...step.inputs, ...step.outputs]) {
      if (!operand) continue;
      if (!first.has(operand.value)) first.set(operand.value, s);
      last.set(operand.value, s);
    }
  });
  for (const v of outputs) last.set(v, steps.length);
  return (memory) => {
    const ids = values.flatMap((v, i) =>
      v.storage.kind === 'arena' && v.memory === memory && first.has(i) ? [i] : [],
    );
    const lives = ids.map((i) => ({
      bytes: alignUp(sizes[i]!, memory ? deviceAlignment : alignment),
      first: first.get(i)!,
      last: last.get(i)!,
    }));
    return { ids, lives };
  };
}

/** Bytes of each value at the profiles' maximum; 0 of those that lie in no arena. */
export function sizesIn(values: readonly PlanValue[], table: ExpressionTable): readonly number[] {
  const known = new Map<string, number>();
  return values.map(({ storage, dtype, dims }) => {
    if (storage.kind !== 'arena') return 0;
    const key = `${dtype!} ${dims!.join(' ')}`;
    let bytes = known.get(key);
    if (bytes === undefined) known.set(key, (bytes = maxBytes(dtype!, dims!, table)));
    return bytes;
  });
}

function maxBytes(dtype: DType, dims: readonly ExpressionIndex[], { expressions, symbols }: ExpressionTable): number {
  const extents = dims.map((i) => parsePlanExpression(expressions[i]!, (s) => symbols[s]!));
  return byteLength(dtype, Math.max(0, dimBounds(productOf(extents)).max));
}
