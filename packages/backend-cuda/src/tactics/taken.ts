/** The problem of a node that is being emitted, of which a refusal is none. */

import { type GroupView, TensorwrightError } from '@tensorwright/core';

/**
 * A node's problem, or why its tactic refuses it: whoever emits has asked before.
 * @throws ERR_INTERNAL with the reason where it is refused
 */
export function taken<T extends object>(group: GroupView, problem: T | string): T {
  if (typeof problem !== 'string') return problem;
  throw new TensorwrightError('ERR_INTERNAL', `a refused node cannot be emitted: ${problem}`, { node: group.node.id });
}
