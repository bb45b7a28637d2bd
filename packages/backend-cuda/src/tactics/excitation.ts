/** Squeeze and excite in one step: the mean of each channel, and two products of it, one kernel or two. */

import {
  type Candidate,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  mulDims,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import { cxxType } from '../print/types.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { machineOf } from './contraction/machine.js';
import { clusterSizes, exciteMicroseconds, readMicroseconds } from './excitation/cost.js';
import {
  exciteLaunch,
  pixelSumBytes,
  planOf,
  printExcitation,
  printExcite,
  printImage,
  printSums,
  sumBytes,
  sumWidth,
  widthOf,
} from './excitation/print.js';
import { type ExcitationProblem, excitationOf } from './excitation/problem.js';
import { launchMicroseconds, typicalExtent } from './operands.js';
import { taken } from './taken.js';

const threads = 512;
/** Of sizes of clusters, with sums beforehand and without: those that look best. */
const mostCandidates = 4;

export const excitation: Tactic = {
  name: 'excitation',
  refuses(group: GroupView): string | undefined {
    if (group.parts.length !== 3) return 'no excitation';
    const problem = excitationOf(group);
    if (typeof problem === 'string') return problem;
    return problem.mean.anchorInputs[0] === -1 ? 'an excitation reads no computed image' : undefined;
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = taken(group, excitationOf(group));
    const image = imageOf(problem);
    return shapesOf(problem)
      .map(({ parts, sums }) => ({
        parameters: { parts, sums },
        inputs: group.node.inputs.map((_, i) => (i === image ? ('channelsLast' as const) : ('strided' as const))),
        outputs: ['channelsLast' as const],
        stridedOutput: false,
        estimate: estimate(problem, parts, sums),
      }))
      .sort((a, b) => a.estimate - b.estimate)
      .slice(0, mostCandidates);
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const { parts, sums } = candidate.parameters as { parts: number; sums: number };
    const problem = taken(group, excitationOf(group));
    const { channels, dims } = problem;
    const args = new Arguments();
    const view = context.view(imageOf(problem))!;
    const width = widthOf(channels, view, dtypeInfo(problem.dtype).bits / 8);
    const type = cxxType(problem.dtype);
    const plan = planOf(problem, { parts, threads }, sums > 0 ? sumWidth(channels) : width);
    const scratch = sums > 0 ? args.workspace(0, 'f32') : '';
    const holes = [
      'struct Arguments;',
      printImage('Image', args.input(imageOf(problem), type), view, width, type, args),
      ...(sums > 0 ? [printSums('Sums', scratch, sums, channels, args)] : []),
      printExcitation(problem, plan, sums > 0 ? 'Sums' : 'Image', 0, context, args),
    ].join('\n');
    const list = [channels, sums, threads].join(', ');
    const text = `
extern "C" __global__ void __launch_bounds__(${String(threads)}) sum_image(const __grid_constant__ Arguments a) {
  sum_pixels<Image, ${list}>(a, ${scratch});
}`;
    return launchStep({
      uses: ['excitation'],
      holes,
      text: sums > 0 ? `${text}${printExcite(plan)}` : printExcite(plan),
      arguments: args,
      launches: [
        ...(sums > 0
          ? [
              {
                function: 'sum_image',
                grid: [mulDims(dims[0]!, sums), 1, 1],
                block: [threads, 1, 1],
                sharedBytes: pixelSumBytes(channels, width, threads),
              } as const,
            ]
          : []),
        exciteLaunch(problem, plan),
      ],
      ...(sums > 0 && { workspaceBytes: sumBytes(problem, sums) }),
    });
  },
};

/** The operand that is the image. */
function imageOf({ mean }: ExcitationProblem): number {
  return mean.anchorInputs[0]!;
}

interface Sharing {
  /** Blocks of a cluster. */
  readonly parts: number;
  /** Blocks that sum an image beforehand; 0: the clusters sum it themselves. */
  readonly sums: number;
}

const mostSums = 64;
const fewestPixels = 8;

function shapesOf({ dims, pixels }: ExcitationProblem): Sharing[] {
  const { clusters, multiprocessors } = machineOf();
  const parts = clusters ? clusterSizes : [1];
  const sums = Math.min(
    mostSums,
    Math.ceil((2 * multiprocessors) / typicalExtent(dims[0]!)),
    Math.floor(typicalExtent(pixels) / fewestPixels),
  );
  return [
    ...parts.map((p) => ({ parts: p, sums: 0 })),
    ...(sums > 1 ? parts.filter((p) => p !== 2).map((p) => ({ parts: p, sums })) : []),
  ];
}

function estimate(problem: ExcitationProblem, parts: number, sums: number): number {
  const imageBytes = (typicalExtent(problem.pixels) * problem.channels * dtypeInfo(problem.dtype).bits) / 8;
  if (sums === 0) return launchMicroseconds + exciteMicroseconds(problem, imageBytes, parts);
  const own = exciteMicroseconds(problem, sums * problem.channels * 4, parts);
  return 2 * launchMicroseconds + readMicroseconds(problem, imageBytes, sums) + own;
}
