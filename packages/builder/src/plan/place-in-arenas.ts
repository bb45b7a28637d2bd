/** Gives offsets in the arena of their memory to the values of a program: lifetimes from the steps, sizes at the profiles' maximum. */

import {
  alignUp,
  byteLength,
  dimBounds,
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

export function placeInArenas(
  values: readonly PlanValue[],
  steps: readonly PlanStep[],
  outputs: readonly number[],
  table: ExpressionTable,
  boundOf: (body: PlanProgram) => MemoryBound,
): ArenaPlan {
  const lifetimes = lifetimesIn(values, steps, outputs, table);
  const touched = new Set(steps.flatMap((s) => [...s.inputs, ...s.outputs].flatMap((o) => (o ? [o.value] : []))));
  // What no step touches takes no room.
  const placed = values.map((v, i): PlanValue =>
    v.storage.kind === 'arena' && !touched.has(i) ? { ...v, storage: { kind: 'heap' } } : v,
  );
  const plan = (memory: PlanValue['memory']): { bytes: number; lowerBound: number } => {
    const { ids, lives } = lifetimes(memory);
    const arena = planMemory(lives);
    ids.forEach((id, k) => {
      placed[id] = {
        ...values[id]!,
        storage: { kind: 'arena', offset: arena.offsets[k]!, bytes: maxBytes(values[id]!, table) },
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
  const host = plan(undefined);
  const device = plan('cuda');
  return {
    values: placed,
    hostBytes: host.bytes,
    deviceBytes: device.bytes,
    lowerBound: { host: host.lowerBound, device: device.lowerBound },
  };
}

/** Bytes of the arenas of both memories that some step cannot do without; bodies are left out. */
export function liveBytes(
  values: readonly PlanValue[],
  steps: readonly PlanStep[],
  outputs: readonly number[],
  table: ExpressionTable,
): number {
  const lifetimes = lifetimesIn(values, steps, outputs, table);
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
  table: ExpressionTable,
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
      bytes: alignUp(maxBytes(values[i]!, table), memory ? deviceAlignment : alignment),
      first: first.get(i)!,
      last: last.get(i)!,
    }));
    return { ids, lives };
  };
}

function maxBytes(value: PlanValue, table: ExpressionTable): number {
  const dims = value.dims!.map((i) => parsePlanExpression(table.expressions[i]!, (s) => table.symbols[s]!));
  return byteLength(value.dtype!, Math.max(0, dimBounds(productOf(dims)).max));
}
