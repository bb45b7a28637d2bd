/** A depthwise convolution that sums what it stores, and the excitation by those sums: the image is not read again. */

import {
  type Candidate,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  invariant,
  mulDims,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { geometryOf } from './contraction/conv-problem.js';
import { machineOf } from './contraction/machine.js';
import { depthwise } from './depthwise.js';
import { channelWidth } from './depthwise/result.js';
import { pooledRows, printTiles } from './depthwise/tensor.js';
import { refuseTiles, tileCandidates, type TileShape, vectorChannels } from './depthwise/tiles.js';
import { clusterSizes, exciteMicroseconds, likely } from './excitation/cost.js';
import {
  exciteLaunch,
  planOf,
  printExcitation,
  printExcite,
  printSums,
  sumBytes,
  sumWidth,
} from './excitation/print.js';
import { type ExcitationProblem, excitationOf } from './excitation/problem.js';
import { launchMicroseconds } from './operands.js';

const threads = 512;
/** Tiles that are tried with every size of the clusters that excite. */
const mostTiles = 4;

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
    return depthwise.refuses(image) ?? refuseTiles(image);
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = excitationOf(group) as ExcitationProblem;
    const image = group.parts[0]!;
    const sizes = machineOf().clusters ? clusterSizes : [1];
    const tiles = tileCandidates(image).slice(0, mostTiles);
    return tiles
      .flatMap((tile) =>
        sizes.map((parts) => ({
          ...tile,
          parameters: { ...tile.parameters, parts },
          outputs: ['channelsLast', 'channelsLast'] as const,
          stridedOutput: false,
          estimate:
            tile.estimate + launchMicroseconds + exciteMicroseconds(problem, rowBytes(image, problem, tile), parts),
        })),
      )
      .sort((a, b) => a.estimate - b.estimate);
  },
  emit(group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> {
    const { parts, ...tile } = parameters as unknown as TileShape & { readonly parts: number };
    const problem = excitationOf(group) as ExcitationProblem;
    const image = group.parts[0]!;
    const width = channelWidth(image, geometryOf(image), context);
    invariant(width === vectorChannels, 'a dense image of vectors is aligned');
    const args = new Arguments();
    const rows = pooledRows(image, tile);
    const scratch = args.workspace(0, 'f32');
    const convolution = printTiles(image, tile, scratch, context, args);
    const plan = planOf(problem, { parts, threads }, sumWidth(problem.channels));
    return launchStep({
      uses: ['depthwise_tensor', 'excitation'],
      holes: [
        convolution.holes,
        printSums('Sums', scratch, rows, problem.channels, args),
        printExcitation(problem, plan, 'Sums', 1, context, args),
      ].join('\n'),
      text: `${convolution.text}${printExcite(plan)}`,
      arguments: args,
      launches: [convolution.launch, exciteLaunch(problem, plan)],
      workspaceBytes: sumBytes(problem, rows),
      outputs: 2,
    });
  },
};

/** Of the sums of an image. */
function rowBytes(image: GroupView, { channels }: ExcitationProblem, { parameters }: CandidateOutline): number {
  return likely(mulDims(pooledRows(image, parameters as unknown as TileShape), channels * 4));
}
