/** Tiles of the warpgroup kernel for deformConv (native/cuda/kernels/deform/warpgroups.cuh), and how long they take. */

import { machineOf } from '../contraction/machine.js';
import { cyclesPerMicrosecond, launchMicroseconds } from '../operands.js';
import { likelyRows, notTooWide, splitMicroseconds, type RankedTile } from './tiles.js';
import type { DeformProblem } from './problem.js';
import { stepCount } from './weights.js';

export interface WarpgroupDeformTile {
  /** Output pixels, 64 to a warpgroup that multiplies. */
  readonly rows: number;
  readonly columns: number;
  readonly stages: number;
  /** Blocks of a cluster that load their weights together: 1 or 2. */
  readonly shares: number;
  /** Blocks that share the steps of a tile. */
  readonly splits: number;
}

const gatheringThreads = 256;
const mostSharedBytes = 227 * 1024;

export function warpgroupThreads({ rows }: Pick<WarpgroupDeformTile, 'rows'>): number {
  return gatheringThreads + rows * 2;
}

export function warpgroupBytes({ depth, geometry }: DeformProblem, t: WarpgroupDeformTile): number {
  const places = geometry.kernel.reduce((n, k) => n * k, t.rows);
  return t.stages * (t.rows + t.columns) * depth * 2 + places * 32 + t.stages * 16;
}

type Shape = readonly [rows: number, columns: number, stages: number];

const shapes: readonly Shape[] = [
  [64, 256, 3],
  [128, 128, 4],
  [64, 128, 4],
  [128, 64, 4],
  [64, 64, 4],
];
const splitCounts = [1, 2, 4] as const;
const mostCandidates = 6;

/** Of a problem of 16 bits, the best first. */
export function warpgroupTiles(problem: DeformProblem): readonly (WarpgroupDeformTile & RankedTile)[] {
  const steps = stepCount(problem);
  return notTooWide(shapes, problem)
    .flatMap(([rows, columns, stages]) =>
      [1, 2].flatMap((shares) => {
        const tiles = splitCounts
          .filter((splits) => splits === 1 || steps >= 4 * splits)
          .map((splits): WarpgroupDeformTile => ({ rows, columns, stages, shares, splits }))
          .map((t) => ({ ...t, estimate: estimate(problem, t, steps) }));
        return tiles.sort((a, b) => a.estimate - b.estimate).slice(0, 1);
      }),
    )
    .filter((t) => warpgroupBytes(problem, t) <= mostSharedBytes)
    .sort((a, b) => a.estimate - b.estimate)
    .slice(0, mostCandidates);
}

/** Multiply-adds of a multiprocessor in a cycle: what is reached of wgmma's 2048. */
const productRate = 1800;
/** Cycles to sample 16 bytes of the left operand: some 120 instructions of a thread, and four loads of 16 bytes. */
const sampleCycles = 1.2;
/** Bytes that a multiprocessor gets of the second-level cache in a cycle, while all read. */
const cacheBytes = 35;
/** Of a block: filling the ring, storing. Of a group of displacements: working out the places. Of a step: barriers. */
const blockCycles = 3500;
const groupCycles = 1500;
const stepCycles = 60;
/** What a step takes at least: pixels must come before they are interpolated. */
const stepLatency = 400;

function estimate(problem: DeformProblem, t: WarpgroupDeformTile, steps: number): number {
  const { multiprocessors } = machineOf();
  const { groups, columns, depth } = problem;
  const down = Math.ceil(likelyRows(problem) / t.rows / t.shares) * t.shares;
  const blocks = down * Math.ceil(columns / t.columns) * groups * t.splits;
  const product = (t.rows * t.columns * depth) / productRate;
  const sampling = ((t.rows * depth) / 8) * sampleCycles;
  const weights = (t.columns * depth * 2) / t.shares / cacheBytes;
  const step = Math.max(product, sampling, weights, stepLatency) + stepCycles;
  const displaced = new Set(problem.chunks[0]!.map((c) => c.group)).size;
  const perBlock = Math.ceil(steps / t.splits) * step + Math.ceil(displaced / t.splits) * groupCycles + blockCycles;
  const waves = Math.ceil(blocks / multiprocessors);
  return launchMicroseconds + (waves * perBlock) / cyclesPerMicrosecond + splitMicroseconds(problem, t.splits);
}
