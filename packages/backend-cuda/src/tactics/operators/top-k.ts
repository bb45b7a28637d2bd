/** topK: rows that are short are picked from or sorted whole; of longer ones the first are selected and sorted. */

import {
  type Candidate,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type Node,
  productOf,
} from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import type { CandidateOutline, Tactic } from '../../tactic.js';
import { bytesOf, memoryMicroseconds } from '../operands.js';
import { countedShape } from './counted-shape.js';
import type { AnchorOperands } from './element-kernel.js';
import { operatorOutline } from './operator-tactic.js';
import { block, grid, tile, tiles } from './top-k-long-rows.js';
import { axisOf, TopKProblem } from './top-k-problem.js';
import { pick, sort } from './top-k-short-rows.js';

/** Rows up to this size are taken whole: a warp picks up to `mostPicked` one after the other, or a block sorts them. */
const mostWhole = 1024;
const mostPicked = 32;
/** Rows of which each may have many blocks: each needs scratch memory. */
const mostGridRows = 1024;
/** Keys that the tiles of a row may list. */
const mostListed = 16384;

const outline = operatorOutline({ name: 'topK', operators: ['topK'], counts: true });

export const topK: Tactic = {
  ...outline,
  candidates(group: GroupView): readonly CandidateOutline[] {
    return outline.candidates(group).flatMap((candidate) =>
      waysOf(group).map((way) => ({
        ...candidate,
        variant: way,
        parameters: { ...candidate.parameters, way },
        estimate: estimate(group, way),
      })),
    );
  },
  emit: (group: GroupView, candidate: Candidate, context: EmitContext) =>
    emitWith(group, context, candidate.parameters['way'] as Way),
};

type Way = 'pick' | 'sort' | 'block' | 'tiles' | 'grid';

interface Extents {
  /** Elements of a row, at most. */
  readonly longest: number;
  readonly rows: number;
  readonly k: number;
}

function extentsOf(group: GroupView): Extents {
  const [x, values] = [group.anchor!.inputs[0]!.type, group.anchor!.outputs[0]!.type];
  if (x.kind !== 'tensor' || values.kind !== 'tensor') throw new TypeError('topK of a tensor');
  const axis = axisOf(group, x.dims!.length);
  const rows = x.dims!.filter((_, i) => i !== axis);
  return {
    longest: dimBounds(x.dims![axis]!).max,
    rows: dimBounds(productOf(rows)).max,
    k: dimBounds(values.dims![axis]!).max,
  };
}

/** Best guess first. */
function waysOf(group: GroupView): readonly Way[] {
  const { longest, rows, k } = extentsOf(group);
  if (longest <= mostWhole) return [k <= mostPicked ? 'pick' : 'sort'];
  if (rows > mostGridRows) return ['block'];
  const listed = Math.ceil(longest / tile) * k;
  return listed <= mostListed ? ['block', 'tiles', 'grid'] : ['block', 'grid'];
}

/** A block reads its row about four times, by itself; many read it twice, in launches of their own. */
function estimate(group: GroupView, way: Way): number {
  const moved = memoryMicroseconds(bytesOf(group));
  if (way === 'tiles') return 10 + moved;
  if (way === 'grid') return 15 + 2 * moved;
  if (way !== 'block') return moved;
  const bytesPerMicrosecond = 60e3;
  return 4 * Math.max(moved, (4 * extentsOf(group).longest) / bytesPerMicrosecond);
}

function emitWith(group: GroupView, context: EmitContext, way: Way): Promise<EmittedStep> {
  return countedShape({ group, context, shape: printShape, write: () => emitTopK(group, context, way) });
}

/** As the operand, but for the axis. */
function printShape(operands: AnchorOperands, args: Arguments, { attributes }: Node): string {
  const { dims } = operands.input(0).view;
  const axis = ((attributes['axis'] as number) + dims.length) % dims.length;
  const extents = dims.map((d, k) => `  dims[${String(k)}] = ${args.dim(d)};`);
  return `${extents.join('\n')}
  const i64 k = convert<i64>(*${operands.input(1).pointer});
  valid = k <= dims[${String(axis)}];
  dims[${String(axis)}] = k;`;
}

function emitTopK(group: GroupView, context: EmitContext, way: Way): Promise<EmittedStep> {
  const problem = new TopKProblem(group, context);
  const printed = { pick, sort, block, tiles, grid }[way](problem);
  return launchStep({ uses: ['sort', 'selection', 'top_k'], arguments: problem.args, outputs: 2, ...printed });
}
