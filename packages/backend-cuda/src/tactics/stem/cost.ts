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
  /** Of a block. */
  readonly cycles: number;
  readonly sharedBytes: number;
  /** Of a thread. */
  readonly registers: number;
}

/** Cycles in which a warp convolves sixteen outputs of so many rows with so many eights of channels. */
export function productsCycles(g: Geometry, rows: number, columns: number): number {
  return stepsOf(g) * Math.max(2 * columns + 4 * rows, productCycles * rows * columns);
}

/** Cycles in which a block has its image and weights: instructions at the loads and the store for a word. */
export function bringCycles({ lines, used, copies }: LinesShape, { vector }: Loads, g: Geometry): number {
  const copied = weightBytes(g) / 128;
  if (vector === 1) return copied + lines * Math.ceil(used / 32) * (1 + copies) * 4;
  return copied + Math.ceil((lines * used * 2) / vector / 32) * 8;
}

export function blocksMicroseconds(b: Blocks, bytes: number, machine: Machine): number {
  const resident = Math.max(
    1,
    Math.min(
      Math.floor(machine.sharedBytes / (b.sharedBytes + 1024)),
      Math.floor(2048 / (b.registers * b.warps)),
      Math.floor(64 / b.warps),
    ),
  );
  const waves = Math.ceil(b.count / (machine.multiprocessors * resident));
  const time = Math.max(Math.ceil(b.count / machine.multiprocessors) * b.cycles, waves * (latency + b.cycles));
  return Math.max(memoryMicroseconds(bytes), launchMicroseconds + time / cyclesPerMicrosecond);
}

/** Bytes of the likely elements of a value of these extents. */
export function likelyBytes(dims: readonly Dim[], value: Value | undefined): number {
  const elements = dims.reduce<number>((product, d) => product * likelyExtent(d), 1);
  return (elements * dtypeInfo(dtypeOf(value)!).bits) / 8;
}

/** Registers of a thread: sums, fragments of the weights, and what addresses take. */
export function stemRegisters(rows: number, columns: number): number {
  return 64 + 4 * rows * columns + 2 * columns;
}

/** Of the input of a group. */
export function imageBytes(group: GroupView, g: Geometry, input: number): number {
  return likelyBytes(g.x, group.node.inputs[input]);
}
