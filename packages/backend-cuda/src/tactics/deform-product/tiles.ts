/** Tiles of the kernels of deform_conv.cuh, and how long they take. */

import { dtypeInfo } from '@tensorwright/core';
import { likelyExtent } from '../contraction/conv-problem.js';
import { machineOf } from '../contraction/machine.js';
import { cyclesPerMicrosecond, launchMicroseconds, memoryMicroseconds } from '../operands.js';
import type { DeformProblem } from './problem.js';
import { isKnown, packedElements, stepCount } from './weights.js';

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

export interface RankedTile {
  /** Microseconds. */
  readonly estimate: number;
}

/** Each shape with the number of splits that suits it best. */
export function deformTiles(problem: DeformProblem): readonly (DeformTile & RankedTile)[] {
  const machine = machineOf();
  const steps = stepCount(problem);
  return notTooWide(isHalf(problem) ? tensorShapes : simtShapes, problem)
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

/** Without those of which half or more would be columns that nobody wants, but for the narrowest. */
export function notTooWide<T extends readonly number[]>(shapes: readonly T[], problem: DeformProblem): readonly T[] {
  const narrowest = Math.min(...shapes.map(([, columns]) => columns!));
  return shapes.filter(([, columns]) => columns! < 2 * Math.max(narrowest, problem.columns));
}

/** Multiply-adds of a multiprocessor in a cycle: mma.sync waits for shared memory, ordinary arithmetic hardly ever. */
const tensorRate = 800;
const simtRate = 105;
/** Cycles to sample 16 bytes of the left operand: instructions of a thread, and four loads of 16 bytes. */
const sampleCycles = { half: 1.6, single: 1.2 };
/** Bytes that a multiprocessor gets of the second-level cache in a cycle, while all read. */
const cacheBytes = 35;
/** A step of one block at least: loads must come before they are interpolated. */
const stepLatency = 1000;
/** Of a block: its first loads, and storing. */
const blockCycles = 4000;

function estimate(
  problem: DeformProblem,
  t: DeformTile,
  steps: number,
  machine: { readonly multiprocessors: number; readonly sharedBytes: number },
): number {
  const { groups, columns, depth } = problem;
  const half = isHalf(problem);
  const blocks = Math.ceil(likelyRows(problem) / t.rows) * Math.ceil(columns / t.columns) * groups * t.splits;
  const product = (t.rows * t.columns * depth) / (half ? tensorRate : simtRate);
  const sampling = ((t.rows * depth) / (half ? 8 : 4)) * (half ? sampleCycles.half : sampleCycles.single);
  const weights = (t.columns * depth * (half ? 2 : 4)) / cacheBytes;
  const step = Math.max(product + sampling, weights);
  const memory = Math.floor(machine.sharedBytes / (tileBytes(problem, t) + 1024));
  const resident = Math.max(1, Math.min(memory, residentBlocks(problem, t)));
  const perBlock = Math.ceil(steps / t.splits);
  const waves = Math.ceil(blocks / (machine.multiprocessors * resident));
  const busy = Math.ceil(blocks / machine.multiprocessors) * perBlock * step;
  const waiting = waves * perBlock * Math.max(stepLatency, step);
  const cycles = Math.max(busy, waiting) + waves * blockCycles;
  const packing = isKnown(problem) ? 0 : memoryMicroseconds(packedElements(problem) * (half ? 4 : 8));
  return launchMicroseconds + packing + cycles / cyclesPerMicrosecond + splitMicroseconds(problem, t.splits);
}

/** Output pixels to plan for. */
export function likelyRows({ geometry }: DeformProblem): number {
  return [0, 2, 3].reduce((n, i) => n * likelyExtent(geometry.out[i]!), 1);
}

/** What it takes to add the sums of blocks that share the steps of a tile. */
export function splitMicroseconds(problem: DeformProblem, splits: number): number {
  const sums = likelyRows(problem) * problem.columns * problem.groups;
  return splits > 1 ? launchMicroseconds + (sums * splits * 8) / 3e6 : 0;
}
