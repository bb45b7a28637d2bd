/** Where libraries' kernels are ranked: how fast they are only time tells. */

import type { GroupView } from '@tensorwright/core';
import { contraction } from './contraction.js';
import { depthwise } from './depthwise.js';
import { hopper } from './hopper.js';
import { stem } from './stem.js';

/** Right behind our best kernel of a contraction, in the library's own order. In microseconds. */
export function estimatesBehindOwn(group: GroupView, count: number): number[] {
  const own = [contraction, hopper, depthwise, stem]
    .flatMap((t) => (t.refuses(group) === undefined ? t.candidates(group) : []))
    .reduce((best, c) => Math.min(best, c.estimate), Infinity);
  return Array.from({ length: count }, (_, place) => own * (rankedBehind + place * rankStep));
}

const rankedBehind = 1.001;
const rankStep = 0.04;
