/** Gives arena offsets to the values of a program: lifetimes from the steps, sizes at the profiles' maximum. */

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
import { type Lifetime, planMemory } from './memory.js';

const alignment = 64;

export interface ArenaPlan {
  readonly values: readonly PlanValue[];
  readonly bytes: number;
  readonly lowerBound: number;
}

export function placeInArena(
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
  const ids = values.flatMap((v, i) => (v.storage.kind === 'arena' && first.has(i) ? [i] : []));
  const lifetimes: Lifetime[] = ids.map((i) => ({
    bytes: alignUp(maxBytes(values[i]!, table), alignment),
    first: first.get(i)!,
    last: last.get(i)!,
  }));
  const plan = planMemory(lifetimes);
  const placed = [...values];
  ids.forEach((id, k) => {
    placed[id] = {
      ...values[id]!,
      storage: { kind: 'arena', offset: plan.offsets[k]!, bytes: maxBytes(values[id]!, table) },
    };
  });
  return { values: placed, bytes: plan.bytes, lowerBound: plan.lowerBound };
}

function maxBytes(value: PlanValue, table: ExpressionTable): number {
  const dims = value.dims!.map((i) => parsePlanExpression(table.expressions[i]!, (s) => table.symbols[s]!));
  return byteLength(value.dtype!, Math.max(0, dimBounds(productOf(dims)).max));
}
