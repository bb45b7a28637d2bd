/** How long blocks of the stem kernels take. */

import { type Dim, dtypeInfo, type GroupView, type Value } from '@tensorwright/core';
import { type Geometry, likelyExtent } from '../contraction/conv-problem.js';
import type { Machine } from '../contraction/tiles.js';
import { cyclesPerMicrosecond, dtypeOf, launchMicroseconds, memoryMicroseconds } from '../operands.js';
import { type LinesShape, type Loads, stepsOf, weightBytes } from './lines.js';

/** Of a matrix instruction that the tensor cores of a multiprocessor share. */
const productCycles = 1.6;
/** Until the first pixels are there. */
const latency = 1600;

export interface Blocks {
  readonly count: number;
  readonly warps: number;
  /** Cycles of a block, until it has its image. */
  readonly bring: number;
  /** Bytes of the image that a block reads. */
  readonly loaded: number;
  /** Cycles of a warp, where all of a multiprocessor's schedulers have one. */
  readonly work: number;
  /** On a multiprocessor at once. */
  readonly resident: number;
}

const schedulers = 4;
/** That a multiprocessor loads when all do. */
const bytesPerCycle = 24;

/** Cycles in which a warp convolves sixteen outputs of so many rows with so many eights of channels. */
export function productsCycles(g: Geometry, rows: number, columns: number): number {
  return stepsOf(g) * Math.max(2 * columns + 4 * rows, productCycles * rows * columns);
}

/** Of a warp of a group: a quarter of what the group's instructions take, and some of the loads of the image. */
export function groupCycles(g: Geometry, rows: number, columns: number): number {
  return stepsOf(g) * rows * (columns + 2);
}

/** Cycles in which a block has its image and weights: instructions at the loads and the store for a word. */
export function bringCycles({ lines, used, copies }: LinesShape, { vector }: Loads, g: Geometry): number {
  const copied = weightBytes(g) / 128;
  const words = (lines * used) / 32;
  return copied + (vector === 1 ? words * (1 + copies) * 4 : ((words * 2) / vector) * 8);
}

/** Of a multiprocessor. */
const registers = 65536;
const mostThreads = 2048;
const mostBlocks = 16;

/** Whether a block fits: each of a multiprocessor's schedulers has a quarter of the registers, and of the warps. */
export function hasRegisters(threads: number, perThread: number): boolean {
  return Math.ceil(threads / 128) * 128 * perThread <= registers;
}

/** Bytes of an image of such pixels. */
export function linesBytes({ lines, used }: LinesShape, pixels: Value | undefined): number {
  return (lines * used * 2 * dtypeInfo(dtypeOf(pixels)!).bits) / 8;
}

/** How many blocks a multiprocessor has room for. */
export function residentBlocks(threads: number, perThread: number, sharedBytes: number, machine: Machine): number {
  const byRegisters = Math.floor(registers / (perThread * threads));
  const byMemory = Math.floor(machine.sharedBytes / (sharedBytes + 1024));
  return Math.max(1, Math.min(byRegisters, byMemory, Math.floor(mostThreads / threads), mostBlocks));
}

export function blocksMicroseconds(b: Blocks, bytes: number, machine: Machine): number {
  const each = Math.ceil(b.count / machine.multiprocessors);
  const busy = Math.min(schedulers, b.warps * Math.min(each, b.resident));
  const cycles = b.bring + (b.work * b.warps * schedulers) / busy;
  // Those that a multiprocessor begins with wait for their image together.
  const first = latency + (Math.min(each, b.resident) * b.loaded) / bytesPerCycle;
  const time = first + each * cycles + (Math.max(0, each - b.resident) * latency) / b.resident;
  return Math.max(memoryMicroseconds(bytes), launchMicroseconds + time / cyclesPerMicrosecond);
}

/** Bytes of the likely elements of a value of these extents. */
export function likelyBytes(dims: readonly Dim[], value: Value | undefined): number {
  const elements = dims.reduce<number>((product, d) => product * likelyExtent(d), 1);
  return (elements * dtypeInfo(dtypeOf(value)!).bits) / 8;
}

/** Of the input of a group. */
export function imageBytes(group: GroupView, g: Geometry, input: number): number {
  return likelyBytes(g.x, group.node.inputs[input]);
}
