/** All candidates of a contraction that the model of the product kernels ranks, for those who time and fit it. */

import { type Candidate, type Node, viewGroup } from '@tensorwright/core';
import { contraction, productCandidates } from './tactics/contraction.js';
import type { Work } from './tactics/contraction/model.js';
import type { WorkedCandidate } from './tactics/contraction/worked.js';
import { hopper, warpgroupCandidates } from './tactics/hopper.js';
import { version } from './version.js';

export interface WorkedProduct {
  readonly candidate: Candidate;
  readonly work: Work;
}

/** Empty for a node that is none. In no order. */
export function productWorks(node: Node): readonly WorkedProduct[] {
  const group = viewGroup(node);
  const named = (name: string, list: readonly WorkedCandidate[]): WorkedProduct[] =>
    list.map(({ work, variant, ...outline }) => ({
      work,
      candidate: {
        ...outline,
        tactic: variant === undefined ? name : `${name}.${variant}`,
        producer: `@tensorwright/backend-cuda ${version}`,
      },
    }));
  return [
    ...(hopper.refuses(group) === undefined ? named('cuda.hopper', warpgroupCandidates(group)) : []),
    ...(contraction.refuses(group) === undefined ? named('cuda.contraction', productCandidates(group)) : []),
  ];
}
