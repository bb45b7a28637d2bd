/** Squeeze and excite in one step: the mean of each channel, and two products of it, one kernel or two. */

import {
  type Candidate,
  dimBounds,
  type Dim,
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
import {
  blocksOf,
  pixelSumBytes,
  planOf,
  printExcitation,
  printImage,
  printSums,
  sumBytes,
  sumWidth,
  widthOf,
} from './excitation/print.js';
import { type ExcitationProblem, excitationOf } from './excitation/problem.js';
import { launchMicroseconds } from './operands.js';

const threads = 512;
const imagePart = 0;

export const excitation: Tactic = {
  name: 'excitation',
  refuses(group: GroupView): string | undefined {
    if (group.parts.length !== 3) return 'no excitation';
    const problem = excitationOf(group);
    if (typeof problem === 'string') return problem;
    return problem.mean.anchorInputs[0] === -1 ? 'an excitation reads no computed image' : undefined;
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = excitationOf(group) as ExcitationProblem;
    const image = imageOf(problem);
    return shapesOf(problem)
      .map(({ parts, sums }) => ({
        parameters: { parts, sums },
        inputs: group.node.inputs.map((_, i) => (i === image ? ('channelsLast' as const) : ('strided' as const))),
        outputs: ['channelsLast' as const],
        stridedOutput: false,
        estimate: estimate(problem, parts, sums),
      }))
      .sort((a, b) => a.estimate - b.estimate);
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const { parts, sums } = candidate.parameters as { parts: number; sums: number };
    const problem = excitationOf(group) as ExcitationProblem;
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
    const bounds = `__launch_bounds__(${String(threads)})`;
    const list = [channels, sums, threads].join(', ');
    const text = `
${
  sums > 0
    ? `extern "C" __global__ void ${bounds} sum_image(const __grid_constant__ Arguments a) {
  sum_pixels<Image, ${list}>(a, ${scratch});
}
`
    : ''
}extern "C" __global__ void ${bounds} excite(const __grid_constant__ Arguments a) {
  Excite<Excitation, ${String(parts)}, ${String(threads)}>::run(a);
}`;
    return launchStep({
      uses: ['excitation'],
      holes,
      text,
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
        exciteLaunch(problem, plan.sharedBytes, parts),
      ],
      ...(sums > 0 && { workspaceBytes: sumBytes(problem, sums) }),
    });
  },
};

/** The launch of `excite`. */
function exciteLaunch(problem: ExcitationProblem, sharedBytes: number, parts: number) {
  return {
    function: 'excite',
    grid: [blocksOf(problem, { parts, threads }), 1, 1] as const,
    block: [threads, 1, 1] as const,
    sharedBytes,
    ...(parts > 1 && { cluster: [parts, 1, 1] as const }),
  };
}

/** The operand that is the image. */
function imageOf({ mean }: ExcitationProblem): number {
  return mean.anchorInputs[imagePart]!;
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
  const parts = clusters ? [1, 2, 4, 8] : [1];
  const sums = Math.min(
    mostSums,
    Math.ceil((2 * multiprocessors) / likely(dims[0]!)),
    Math.floor(likely(pixels) / fewestPixels),
  );
  return [
    ...parts.map((p) => ({ parts: p, sums: 0 })),
    ...(sums > 1 ? parts.filter((p) => p !== 2).map((p) => ({ parts: p, sums })) : []),
  ];
}

function likely(d: Dim): number {
  const { min, max } = dimBounds(d);
  return Math.min(max, Math.max(min, 1) * 64, Number.isFinite(max) ? max : 64);
}

/** Of an H200, as the estimates of other kernels that are bound by memory: what a block reads in a microsecond, and all. */
const blockBytesPerMicrosecond = 70e3;
const multiprocessors = 132;
const bytesPerMicrosecond = 4e6;
const syncMicroseconds = 0.25;
const productMicroseconds = 0.5;

function estimate(problem: ExcitationProblem, parts: number, sums: number): number {
  const images = likely(problem.dims[0]!);
  const imageBytes = (likely(problem.pixels) * problem.channels * dtypeInfo(problem.dtype).bits) / 8;
  const weightBytes = (2 * problem.channels * problem.hidden * dtypeInfo(problem.down.weights.dtype).bits) / 8;
  const read = (bytes: number, blocks: number): number => {
    const waves = Math.ceil((images * blocks) / multiprocessors);
    return Math.max((waves * bytes) / blocks / blockBytesPerMicrosecond, (images * bytes) / bytesPerMicrosecond);
  };
  const before = sums > 0 ? launchMicroseconds + read(imageBytes, sums) : 0;
  const own = sums > 0 ? read(sums * problem.channels * 4, parts) : read(imageBytes, parts);
  const syncs = parts > 1 ? 2 * syncMicroseconds : 0;
  return before + launchMicroseconds + own + read(weightBytes, parts) + syncs + productMicroseconds;
}
