/** Gives offsets in the arena of their memory to the values of a program: lifetimes from the steps, sizes at the profiles' maximum. */

import {
  alignUp,
  byteLength,
  dimBounds,
  parsePlanExpression,
  type PlanStep,
  type PlanValue,
  productOf,
} from '@tensorwright/core';
import type { ExpressionTable } from './expressions.js';
import { type Lifetime, type MemoryPlan, planMemory } from './memory.js';

const alignment = 64;
/** Vector loads and tensor maps want their operands on such boundaries. */
const deviceAlignment = 256;

export interface ArenaPlan {
  readonly values: readonly PlanValue[];
  readonly hostBytes: number;
  readonly deviceBytes: number;
  /** Of both arenas together. */
  readonly lowerBound: number;
}

export function placeInArenas(
  values: readonly PlanValue[],
  steps: readonly PlanStep[],
  outputs: readonly number[],
  table: ExpressionTable,
): ArenaPlan {
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
  const placed = [...values];
  const plan = (memory: PlanValue['memory']): MemoryPlan => {
    const ids = values.flatMap((v, i) =>
      v.storage.kind === 'arena' && v.memory === memory && first.has(i) ? [i] : [],
    );
    const lifetimes: Lifetime[] = ids.map((i) => ({
      bytes: alignUp(maxBytes(values[i]!, table), memory ? deviceAlignment : alignment),
      first: first.get(i)!,
      last: last.get(i)!,
    }));
    const arena = planMemory(lifetimes);
    ids.forEach((id, k) => {
      placed[id] = {
        ...values[id]!,
        storage: { kind: 'arena', offset: arena.offsets[k]!, bytes: maxBytes(values[id]!, table) },
      };
    });
    return arena;
  };
  const host = plan(undefined);
  const device = plan('cuda');
  return {
    values: placed,
    hostBytes: host.bytes,
    deviceBytes: device.bytes,
    lowerBound: host.lowerBound + device.lowerBound,
  };
}

function maxBytes(value: PlanValue, table: ExpressionTable): number {
  const dims = value.dims!.map((i) => parsePlanExpression(table.expressions[i]!, (s) => table.symbols[s]!));
  return byteLength(value.dtype!, Math.max(0, dimBounds(productOf(dims)).max));
}
