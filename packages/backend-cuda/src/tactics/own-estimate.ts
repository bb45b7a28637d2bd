/** Where libraries' kernels are ranked: how fast they are only time tells. */

import { type GroupView, memo, type Node, viewGroup } from '@tensorwright/core';
import { contraction } from './contraction.js';
import { depthwise } from './depthwise.js';
import { hopper } from './hopper.js';
import { stem } from './stem.js';

/** Every library asks, and to list our kernels takes long. */
const best = memo((node: Node) => bestOf(viewGroup(node)));

/** Right behind our best kernel of a contraction, in the library's own order. In microseconds. */
export function estimatesBehindOwn(group: GroupView, count: number): number[] {
  const own = best(group.node);
  return Array.from({ length: count }, (_, place) => own * (rankedBehind + place * rankStep));
}

function bestOf(group: GroupView): number {
  return [contraction, hopper, depthwise, stem]
    .flatMap((t) => (t.refuses(group) === undefined ? t.candidates(group) : []))
    .reduce((least, c) => Math.min(least, c.estimate), Infinity);
}

const rankedBehind = 1.001;
const rankStep = 0.04;
