/** topK of short rows, taken whole: the best picked one after the other, or all sorted. */

import { ceilDivDims, dimBounds, productOf } from '@tensorwright/core';
import { powerOfTwo } from '../lane-shape.js';
import { kernel, type Printed, type TopKProblem } from './top-k-problem.js';

/** A warp to a row. */
export function pick(problem: TopKProblem): Printed {
  const threads = 128;
  const { args, number } = problem;
  const rows = productOf(problem.rows);
  const each = Math.ceil(Math.max(dimBounds(problem.n).max, 1) / 32);
  const own = `${number}(blockIdx.x) * ${String(threads / 32)} + warp_index()`;
  const body = `  if (${own} >= ${args.dim(rows)}) return;
${problem.row(own, 32, 1)}
  pick_best<${String(each)}>(elements, best);`;
  return {
    text: kernel('pick_rows', threads, body),
    launches: [{ function: 'pick_rows', grid: [ceilDivDims(rows, threads / 32), 1, 1], block: [threads, 1, 1] }],
  };
}

export function sort(problem: TopKProblem): Printed {
  const { args, number, key } = problem;
  const rows = productOf(problem.rows);
  const padded = powerOfTwo(Math.max(dimBounds(problem.n).max, 2));
  const group = Math.max(32, padded / 2);
  const threads = Math.max(128, group);
  const groups = threads / group;
  const body = `  __shared__ ${key} keys[${String(groups * padded)}];
  const u32 group = threadIdx.x / ${String(group)}, thread = threadIdx.x % ${String(group)};
  const ${number} own = ${number}(blockIdx.x) * ${String(groups)} + group;
  const bool stored = own < ${args.dim(rows)};
${problem.row('stored ? own : 0', group, 1)}
  sort_best<${String(group)}>(keys + group * ${String(padded)}, elements, stored, thread, best);`;
  return {
    text: kernel('sort_rows', threads, body),
    launches: [{ function: 'sort_rows', grid: [ceilDivDims(rows, groups), 1, 1], block: [threads, 1, 1] }],
  };
}
