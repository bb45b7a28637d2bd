/** Tiles of the stem kernel (native/cuda/kernels/stem.cuh), and how long they take. */

import { dtypeInfo, type GroupView } from '@tensorwright/core';
import type { CandidateOutline } from '../../tactic.js';
import { type Geometry, geometryOf, likelyExtent } from '../contraction/conv-problem.js';
import { operandLayouts } from '../contraction/group.js';
import { machineOf } from '../contraction/machine.js';
import { cyclesPerMicrosecond, dtypeOf, launchMicroseconds, memoryMicroseconds } from '../operands.js';
import { imageOf, plainGroup, runWords } from './image.js';

/** A block's outputs: warpsX · 16 along x, warpsY · rows along y, warpsN · columns · 8 channels, which are all. */
export interface StemTile {
  readonly warpsX: number;
  readonly warpsY: number;
  readonly warpsN: number;
  readonly rows: number;
  /** Of eight channels, of a warp. */
  readonly columns: number;
}

export function stemThreads(t: StemTile): number {
  return t.warpsX * t.warpsY * t.warpsN * 32;
}

/** Sixteen taps along the depth are one step: StemTile of the kernel. */
export function stepsOf(g: Geometry): number {
  return Math.ceil((g.kernel[0]! * (g.x[1] as number) * runWords(g.kernel[1]!)) / 8);
}

/** Pairs of eight columns, in whole fours of eights. */
export function columnPairs(g: Geometry): number {
  return Math.ceil((g.w[0] as number) / 32) * 2;
}

export function weightBytes(g: Geometry): number {
  return stepsOf(g) * columnPairs(g) * 32 * 16;
}

/** Lines of the image in shared memory, and words that are copied of each: StemTile of the kernel. */
function tileInputs(t: StemTile, g: Geometry): { lines: number; used: number; pitch: number; copies: number } {
  const run = runWords(g.kernel[1]!);
  const [strideY, strideX] = g.strides as [number, number];
  const rows = (t.warpsY * t.rows - 1) * strideY + (g.kernel[0]! - 1) * g.dilations[0]! + 1;
  const used = Math.floor(((t.warpsX * 16 - 1) * strideX + 2 * run + 1) / 2);
  const pitch = run >= 4 ? used : Math.floor((used + 15) / 32) * 32 + 16;
  return { lines: rows * (g.x[1] as number), used, pitch, copies: strideX % 2 === 0 ? 1 : 2 };
}

export function stemBytes(t: StemTile, g: Geometry): number {
  const { lines, pitch, copies } = tileInputs(t, g);
  return weightBytes(g) + copies * lines * pitch * 4;
}

const mostThreads = 512;
const mostCandidates = 8;
/** Of a matrix instruction that the tensor cores of a multiprocessor share. */
const productCycles = 1.6;

export function stemCandidates(group: GroupView): readonly CandidateOutline[] {
  const g = geometryOf(group);
  const machine = machineOf();
  const layouts = operandLayouts(plainGroup(group));
  const image = imageOf(group)!.input;
  const fours = Math.ceil((g.w[0] as number) / 32);
  const tiles = [1, 2, 4, 7, 8].flatMap((warpsX) =>
    [1, 2].flatMap((warpsY) =>
      [1, 2, 4].flatMap((rows) =>
        [1, 2].flatMap((wide): StemTile[] =>
          fours % wide === 0 ? [{ warpsX, warpsY, warpsN: fours / wide, rows, columns: 4 * wide }] : [],
        ),
      ),
    ),
  );
  return tiles
    .filter((t) => stemThreads(t) <= mostThreads && stemThreads(t) >= 64)
    .filter((t) => registersOf(t) * stemThreads(t) <= 64 * 1024)
    .filter((t) => stemBytes(t, g) <= Math.min(machine.sharedBytes / 2 - 1024, 99 * 1024))
    .map((t) => ({
      parameters: { ...t },
      ...layouts,
      inputs: layouts.inputs.map((access, i) => (i === image ? ('strided' as const) : access)),
      estimate: estimate(t, group, g, image, machine),
    }))
    .sort((a, b) => a.estimate - b.estimate)
    .slice(0, mostCandidates);
}

/** Sums, fragments of the weights, and what addresses take. */
function registersOf(t: StemTile): number {
  return 64 + 4 * t.rows * t.columns + 2 * t.columns;
}

function estimate(
  t: StemTile,
  group: GroupView,
  g: Geometry,
  image: number,
  machine: { readonly multiprocessors: number; readonly sharedBytes: number },
): number {
  const [images, outY, outX] = [g.out[0]!, g.out[2]!, g.out[3]!].map(likelyExtent) as [number, number, number];
  const blocks = images * Math.ceil(outX / (t.warpsX * 16)) * Math.ceil(outY / (t.warpsY * t.rows));
  const warps = stemThreads(t) / 32;
  const { lines, used, copies } = tileInputs(t, g);
  // Instructions at a load and a store for a word, and turns of the load-store unit against those of the tensor cores.
  const fetch = lines * Math.ceil(used / 32) * (1 + copies) * 4;
  const copied = weightBytes(g) / 128;
  const product = warps * stepsOf(g) * Math.max(2 * t.columns + 4 * t.rows, productCycles * t.rows * t.columns);
  const store = warps * t.rows * t.columns * 4;
  const registers = registersOf(t);
  const resident = Math.max(
    1,
    Math.min(
      Math.floor(machine.sharedBytes / (stemBytes(t, g) + 1024)),
      Math.floor(2048 / (registers * warps)),
      Math.floor(64 / warps),
    ),
  );
  const cycles = fetch + copied + product + store;
  const latency = 1600;
  const waves = Math.ceil(blocks / (machine.multiprocessors * resident));
  const time = Math.max(Math.ceil(blocks / machine.multiprocessors) * cycles, waves * (latency + cycles));
  const pixels =
    images *
    likelyExtent(g.x[2]!) *
    likelyExtent(g.x[3]!) *
    (g.x[1] as number) *
    (dtypeInfo(dtypeOf(group.node.inputs[image])!).bits / 8);
  const results = images * outY * outX * (g.w[0] as number) * (dtypeInfo(dtypeOf(group.outputs[0])!).bits / 8);
  return Math.max(memoryMicroseconds(pixels + results), launchMicroseconds + time / cyclesPerMicrosecond);
}
