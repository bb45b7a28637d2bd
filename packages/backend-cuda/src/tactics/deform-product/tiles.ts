/** Tiles of the kernels of deform_conv.cuh, and how long they take. */

import { dtypeInfo } from '@tensorwright/core';
import { likelyExtent } from '../contraction/conv-problem.js';
import { machineOf } from '../contraction/machine.js';
import { cyclesPerMicrosecond, launchMicroseconds } from '../operands.js';
import type { DeformProblem } from './problem.js';

/** A block makes `rows` output pixels of `columns` channels; a thread group of the two numbers does so on its own. */
export interface DeformTile {
  readonly rows: number;
  readonly columns: number;
  /** Of 16 bits: warps. Of float32: sums of a thread. */
  readonly down: number;
  readonly across: number;
  /** Blocks that share the steps of a tile. */
  readonly splits: number;
}

type Shape = readonly [rows: number, columns: number, down: number, across: number];

/** Blocks that a multiprocessor should hold: bounds the registers, without spills. */
export function residentBlocks(problem: DeformProblem, t: DeformTile): number {
  const sums = isHalf(problem) ? (t.rows * t.columns) / 32 / t.down / t.across : t.down * t.across;
  const gathered = (t.rows * problem.depth) / (isHalf(problem) ? 8 : 4) / tileThreads(problem, t);
  // Single elements of 16 bits take a register each.
  const registers = sums + (isHalf(problem) && problem.width === 1 ? 32 : 16) * gathered + 64;
  return Math.max(1, Math.floor(65536 / tileThreads(problem, t) / (registers <= 128 ? 128 : 255)));
}

const tensorShapes: readonly Shape[] = [
  [128, 128, 4, 2],
  [64, 256, 2, 4],
  [128, 64, 4, 2],
  [64, 128, 2, 4],
  [64, 64, 4, 2],
  [32, 256, 1, 8],
  [32, 128, 1, 8],
  [64, 32, 4, 1],
];
const simtShapes: readonly Shape[] = [
  [128, 128, 8, 8],
  [64, 128, 8, 4],
  [64, 64, 4, 4],
  [32, 64, 4, 4],
];
const splitCounts = [1, 2, 4] as const;
const mostCandidates = 6;

export function isHalf({ dtype }: DeformProblem): boolean {
  return dtypeInfo(dtype).bits === 16;
}

export function tileThreads(problem: DeformProblem, t: DeformTile): number {
  return isHalf(problem) ? t.down * t.across * 32 : (t.rows / t.down) * (t.columns / t.across);
}

export function tileBytes(problem: DeformProblem, t: DeformTile): number {
  const { depth } = problem;
  const places = 2 * t.rows * 32;
  if (!isHalf(problem)) return places + 2 * 4 * depth * (t.rows + t.columns);
  const scratch = t.down * t.across * 16 * (t.columns / t.across + 8) * 4;
  return Math.max(places + 2 * 2 * depth * (t.rows + t.columns), scratch);
}

export interface RankedTile extends DeformTile {
  readonly estimate: number;
}

/** Each shape with the number of splits that suits it best. */
export function deformTiles(problem: DeformProblem): readonly RankedTile[] {
  const machine = machineOf();
  const steps = problem.geometry.kernel.reduce((a, b) => a * b, 1) * problem.chunks[0]!.length;
  return (isHalf(problem) ? tensorShapes : simtShapes)
    .flatMap(([rows, columns, down, across]) => {
      const tiles = splitCounts
        .filter((splits) => splits === 1 || steps >= 4 * splits)
        .map((splits): DeformTile => ({ rows, columns, down, across, splits }))
        .map((t) => ({ ...t, estimate: estimate(problem, t, steps, machine) }));
      return tiles.sort((a, b) => a.estimate - b.estimate).slice(0, 1);
    })
    .filter((t) => tileBytes(problem, t) <= Math.min(machine.sharedBytes - 1024, 99 * 1024))
    .sort((a, b) => a.estimate - b.estimate)
    .slice(0, mostCandidates);
}

/** Multiply-adds of a multiprocessor in a cycle, and cycles to sample 16 bytes of the left operand. */
const tensorRate = 1100;
const simtRate = 90;
const sampleCycles = 1.6;
const stepLatency = 500;

function estimate(
  problem: DeformProblem,
  t: DeformTile,
  steps: number,
  machine: { readonly multiprocessors: number; readonly sharedBytes: number },
): number {
  const { geometry, groups, columns, depth } = problem;
  const rows = [0, 2, 3].reduce((n, i) => n * likelyExtent(geometry.out[i]!), 1);
  const blocks = Math.ceil(rows / t.rows) * Math.ceil(columns / t.columns) * groups * t.splits;
  const product = (t.rows * t.columns * depth) / (isHalf(problem) ? tensorRate : simtRate);
  const sampling = ((t.rows * depth) / (isHalf(problem) ? 8 : 4)) * sampleCycles;
  const resident = Math.max(
    1,
    Math.min(
      Math.floor(machine.sharedBytes / (tileBytes(problem, t) + 1024)),
      Math.floor(512 / tileThreads(problem, t)),
    ),
  );
  const perBlock = Math.ceil(steps / t.splits);
  const waves = Math.ceil(blocks / (machine.multiprocessors * resident));
  const busy = Math.ceil(blocks / machine.multiprocessors) * perBlock * (product + sampling);
  const waiting = waves * perBlock * Math.max(stepLatency, product + sampling);
  const sums = t.splits > 1 ? launchMicroseconds + (rows * columns * groups * t.splits * 8) / 3e6 : 0;
  return launchMicroseconds + Math.max(busy, waiting) / cyclesPerMicrosecond + sums;
}
