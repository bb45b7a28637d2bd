/** Sizes that floats were computed from are known once those are folded, and what depends on them: round after round. */

import type { Graph, Steps } from '@tensorwright/core';
import type { Pass, PassContext } from '../../pass.js';
import { foldConstants } from './fold-constants.js';
import { shapeFolding } from './shape-folding.js';

/** Each makes known what one more computation of a size depends on. */
const maxRounds = 8;

export const settleShapes: Pass = {
  name: 'settle-shapes',
  phase: 'canonicalise',
  run: (graph: Graph, context: PassContext): Steps<Graph> => settle(graph, context),
};

function* settle(graph: Graph, context: PassContext): Steps<Graph> {
  let settled = graph;
  for (let round = 0; round < maxRounds; round++) {
    const before = settled;
    for (const pass of [shapeFolding, foldConstants]) {
      const result = pass.run(settled, context);
      settled = 'next' in result ? yield* result : result;
    }
    if (settled.outputs.every((v, i) => v === before.outputs[i])) break;
  }
  return settled;
}
