/** Operands are carried to where a step works before its code is there, which may turn out to read only their extents. */

import type { PlanValue } from '@tensorwright/core';
import type { Placed } from './merge-reads.js';

const moves = new Set(['transfer', 'copy']);

/** The steps but for those that only move what nobody reads. @param outputs of the program; none: all steps stay */
export function withoutUnreadMoves(
  placed: readonly Placed[],
  values: readonly PlanValue[],
  outputs: readonly number[],
): readonly Placed[] {
  if (outputs.length === 0) return placed;
  const read = new Set(outputs);
  const kept = placed.toReversed().filter(([step]) => {
    const isNeeded = (value: number): boolean => read.has(value) || values[value]!.binds !== undefined;
    const unread = moves.has(step.layer.tactic) && !step.outputs.some((o) => o && isNeeded(o.value));
    if (!unread) for (const operand of step.inputs) if (operand) read.add(operand.value);
    return !unread;
  });
  return kept.reverse();
}
