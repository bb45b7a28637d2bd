/** A depthwise convolution that sums what it stores, and the excitation by those sums: the image is not read again. */

import {
  type Candidate,
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  invariant,
  mulDims,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { geometryOf } from './contraction/conv-problem.js';
import { machineOf } from './contraction/machine.js';
import { depthwise } from './depthwise.js';
import { channelWidth } from './depthwise/result.js';
import {
  pooledRowSlots,
  type PooledShape,
  printPooledRows,
  refusePooledRows,
  rowCandidates,
} from './depthwise/rows.js';
import { pooledRows, printTiles } from './depthwise/tensor.js';
import { refuseTiles, tileCandidates, type TileShape, vectorChannels } from './depthwise/tiles.js';
import { exciteMicroseconds } from './excitation/cost.js';
import { pairings } from './excitation/pairings.js';
import { type ExcitationProblem, excitationOf } from './excitation/problem.js';
import { emitExcited } from './excitation/step.js';
import { launchMicroseconds, typicalExtent } from './operands.js';
import { taken } from './taken.js';

/** Shapes of each kind of kernel that are tried. */
const mostShapes = 2;

export const pooledExcitation: Tactic = {
  name: 'pooledExcitation',
  refuses(group: GroupView): string | undefined {
    const [image, mean, , up] = group.parts;
    if (group.parts.length !== 4 || image?.anchor?.op !== 'conv') return 'no excitation';
    const problem = excitationOf(group);
    if (typeof problem === 'string') return problem;
    const [first, second, ...others] = group.own.regions[0]!.outputs;
    const outputs = first === image.outputs[0] && second === up!.outputs[0] && others.length === 0;
    if (!outputs || !mean!.own.inputs.includes(first)) return 'only the convolution and what excites it are results';
    return depthwise.refuses(image) ?? (refuseTiles(image) === undefined ? undefined : refusePooledRows(image));
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = taken(group, excitationOf(group));
    const image = group.parts[0]!;
    const excite = (shape: CandidateOutline, parts: number): number =>
      launchMicroseconds + exciteMicroseconds(problem, sumsOf(image, problem, shape), parts);
    const best = (shapes: readonly CandidateOutline[]): readonly CandidateOutline[] => {
      const time = (shape: CandidateOutline): number => shape.estimate + excite(shape, 1);
      return [...shapes].sort((a, b) => time(a) - time(b)).slice(0, mostShapes);
    };
    const tiles = refuseTiles(image) === undefined ? tileCandidates(image) : [];
    const shapes = [...best(tiles), ...best(pooledRowCandidates(image, problem))];
    return pairings(shapes, excite).map(({ shape, parts, estimate }) => ({
      ...shape,
      parameters: { ...shape.parameters, parts },
      outputs: ['channelsLast', 'channelsLast'] as const,
      stridedOutput: false,
      estimate,
    }));
  },
  emit(group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> {
    const { parts, ...shape } = parameters as unknown as (TileShape | PooledShape) & { readonly parts: number };
    const problem = taken(group, excitationOf(group));
    const image = group.parts[0]!;
    const args = new Arguments();
    const rows = rowsOfSums(image, shape);
    const scratch = args.workspace(0, 'f32');
    const byRows = 'run' in shape;
    const width = channelWidth(image, geometryOf(image), context);
    invariant(byRows || width === vectorChannels, 'a dense image of vectors is aligned');
    const convolution = byRows
      ? printPooledRows(image, shape, scratch, context, args)
      : printTiles(image, shape, scratch, context, args);
    const uses = byRows ? 'depthwise' : 'depthwise_tensor';
    return emitExcited(problem, parts, { uses, ...convolution, sums: scratch, rows }, context, args);
  },
};

/** Bytes of the sums of an image. */
function sumsOf(image: GroupView, { channels }: ExcitationProblem, { parameters }: CandidateOutline): number {
  return typicalExtent(mulDims(rowsOfSums(image, parameters as unknown as TileShape | PooledShape), channels * 4));
}

function rowsOfSums(image: GroupView, shape: TileShape | PooledShape): Dim {
  return 'run' in shape ? pooledRowSlots(image, shape) : pooledRows(image, shape);
}

/** Runs of a thread, where there are blocks enough. */
const roundCounts = [1, 4];
/** Lengths of runs that are tried with them. */
const mostRuns = 2;

function pooledRowCandidates(image: GroupView, { dims }: ExcitationProblem): CandidateOutline[] {
  if (refusePooledRows(image) !== undefined) return [];
  const runs = [...rowCandidates(image)].sort((a, b) => a.estimate - b.estimate).slice(0, mostRuns);
  return runs.flatMap((outline) =>
    roundCounts.flatMap((rounds) => {
      const parameters = { run: outline.parameters['run'] as number, rounds };
      const blocks = typicalExtent(mulDims(dims[0]!, pooledRowSlots(image, parameters)));
      return rounds > 1 && blocks < 2 * machineOf().multiprocessors ? [] : [{ ...outline, parameters }];
    }),
  );
}
