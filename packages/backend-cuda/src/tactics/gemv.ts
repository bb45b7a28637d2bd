/** Contractions of at most eight rows (or columns): matrix times a few vectors, bound by how fast the matrix streams in. */

import {
  type Candidate,
  ceilDivDims,
  constantOf,
  dimBounds,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  minDims,
  mulDims,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { describeContraction } from './contraction/describe.js';
import { likelyExtents, operandLayouts, problemOf, refuseContraction } from './contraction/group.js';
import { machineOf } from './contraction/machine.js';
import { exchange, type Problem } from './contraction/problem.js';

const mostRows = 8;
const warps = 8;

/** Columns of a warp and warps that share the depth of a column. */
const shapes = [
  { columns: 1, warpsDeep: 1 },
  { columns: 2, warpsDeep: 1 },
  { columns: 4, warpsDeep: 1 },
  { columns: 1, warpsDeep: 2 },
  { columns: 2, warpsDeep: 4 },
  { columns: 1, warpsDeep: 8 },
] as const;

/** The problem with its few rows on the left; undefined where neither side is so narrow. */
function narrowed(problem: Problem): Problem | undefined {
  const most = (p: Problem): number => dimBounds(productOf(p.rows)).max;
  if (most(problem) <= mostRows) return problem;
  const exchanged = exchange(problem);
  return most(exchanged) <= mostRows ? exchanged : undefined;
}

/** Copies along the depth want a constant (which is packed so) or labels that say that it is innermost. */
function streams(group: GroupView, problem: Problem): boolean {
  const { input } = problem.right;
  if (constantOf(group.node.inputs[input])) return true;
  const { anchor } = group;
  if (anchor!.op !== 'dot') return false;
  const labels = anchor!.attributes[group.anchorInputs[0] === input ? 'lhs' : 'rhs'] as string;
  const inner = labels.at(-1) ?? '';
  return !(anchor!.attributes['out'] as string).includes(inner);
}

export const gemv: Tactic = {
  name: 'gemv',
  refuses(group: GroupView): string | undefined {
    const reason = refuseContraction(group);
    if (reason !== undefined) return reason;
    const problem = narrowed(problemOf(group));
    if (!problem) return `not a product of at most ${String(mostRows)} rows`;
    return streams(group, problem) ? undefined : 'not a product with a matrix that is dense along its depth';
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = narrowed(problemOf(group))!;
    const bytes = dtypeInfo(problem.right.dtype).bits / 8;
    const { batch, columns, depth } = likelyExtents(problem);
    const rows = Math.min(mostRows, likelyExtents(problem).rows);
    const { multiprocessors } = machineOf();
    return shapes
      .map((shape) => {
        const busyWarps = (batch * Math.ceil(columns / shape.columns) * shape.warpsDeep) / multiprocessors;
        const inFlight = Math.min(busyWarps, mostWarps) * 32 * 2 * shape.columns * 16;
        const stream =
          (batch * columns * depth * bytes) / (memoryBytesPerMicrosecond * Math.min(1, inFlight / bytesToHide));
        const rounds = Math.ceil(depth / ((shape.warpsDeep * 32 * 16) / bytes));
        return {
          parameters: { rows, ...shape },
          ...operandLayouts(group),
          estimate: fixedMicroseconds + Math.max(stream, rounds * roundMicroseconds),
        };
      })
      .sort((a, b) => a.estimate - b.estimate)
      .slice(0, mostCandidates);
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const { columns, warpsDeep } = candidate.parameters as { columns: number; warpsDeep: number };
    const problem = narrowed(problemOf(group, context))!;
    const rows = Math.max(1, dimBounds(productOf(problem.rows)).max);
    const args = new Arguments();
    const options = { splits: 1, inner: 'depth', multipleBytes: 16, leastCopyBytes: 16, alongRows: false } as const;
    const { text: holes } = describeContraction(group, problem, options, context, args);
    const shape = [rows, columns, warps, warpsDeep].join(', ');
    const text = `
extern "C" __global__ void __launch_bounds__(${String(warps * 32)}) gemv(const __grid_constant__ Arguments a) {
  multiply_vectors<Contraction, ${shape}>(a);
}`;
    const blocks = ceilDivDims(productOf(problem.columns), (warps / warpsDeep) * columns);
    return launchStep({
      uses: ['gemv'],
      holes,
      text,
      arguments: args,
      launches: [
        {
          function: 'gemv',
          // No rows, no blocks.
          grid: [mulDims(productOf(problem.batch), blocks), minDims(productOf(problem.rows), 1), 1],
          block: [warps * 32, 1, 1],
        },
      ],
    });
  },
};

const mostCandidates = 3;
const mostWarps = 48;
const memoryBytesPerMicrosecond = 3.9e6;
const fixedMicroseconds = 1.7;
/** A load from memory and what is done with it, the next one being under way. */
const roundMicroseconds = 0.35;
/** What a multiprocessor must have asked for to keep the memory busy. */
const bytesToHide = 29_000;
