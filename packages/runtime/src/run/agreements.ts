/** Extents that a plan needs to be equal. The native executor checks them itself; this is for plans that it does not run. */

import { type PlanProgram, TensorwrightError } from '@tensorwright/core';
import { evaluateExpression } from '../plan/expressions.js';

/** @throws ERR_SHAPE_MISMATCH naming the node and the tensors */
export function checkAgreements({ agreements, expressions }: PlanProgram, symbols: ReadonlyMap<number, number>): void {
  for (const { left, right, what, names } of agreements ?? []) {
    const [a, b] = [left, right].map((e) => evaluateExpression(expressions[e]!, symbols));
    // Steps that are still to come tell.
    if (a === b || a === undefined || b === undefined) continue;
    throw new TensorwrightError(
      'ERR_SHAPE_MISMATCH',
      `${what} are ${String(a)} (${names[0]}) and ${String(b)} (${names[1]})`,
      { received: [a, b] },
    );
  }
}
