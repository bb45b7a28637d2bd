/** Tiles of the depthwise kernel on tensor cores (native/cuda/kernels/depthwise_tensor.cuh), and how long they take. */

import { constantOf, dtypeInfo, type GroupView } from '@tensorwright/core';
import type { CandidateOutline } from '../../tactic.js';
import { type Geometry, geometryOf, likelyExtent } from '../contraction/conv-problem.js';
import { operandLayouts } from '../contraction/group.js';
import { machineOf } from '../contraction/machine.js';
import { cyclesPerMicrosecond, dtypeOf, launchMicroseconds, memoryMicroseconds } from '../operands.js';

/** A block's outputs: windowsX · windows · 8 along x, patches · 8 along y, of `images` images and vectors · 8 channels. */
export interface TileShape {
  /** Warps along x. */
  readonly windowsX: number;
  /** Windows of eight outputs along x of a warp. */
  readonly windows: number;
  readonly patches: number;
  readonly images: number;
  readonly vectors: number;
}

export const vectorChannels = 8;
const patch = 8;

/** Inputs beyond the first that a window of eight outputs may read in the band's words. */
const widestReach = (stride: number): number => (stride === 1 ? 8 : 9);

export function refuseTiles(group: GroupView): string | undefined {
  const { x, kernel, strides, dilations } = geometryOf(group);
  const dtype = dtypeOf(group.anchor!.inputs[0])!;
  const isHalf = dtype === 'float16' || dtype === 'bfloat16';
  if (!isHalf || dtypeOf(group.anchor!.inputs[1]) !== dtype) return 'not of 16-bit floats';
  if (kernel.length !== 2 || (x[1] as number) % vectorChannels !== 0) return 'not an image of vectors';
  if (strides[0]! > 2 || strides[1]! > 2 || kernel[0]! > 9) return 'strides or windows are wide';
  if ((kernel[1]! - 1) * dilations[1]! > widestReach(strides[1]!)) return 'windows are wide';
  return constantOf(group.node.inputs[group.anchorInputs[1]!]) ? undefined : 'weights are only known at run time';
}

/** Words of a filter row's pairs of taps: BandTable of the kernel. */
export function bandWords(stride: number): number {
  return stride === 1 ? 24 : 20;
}

export function tileThreads(t: TileShape): number {
  return (t.windowsX * t.patches * t.images * t.vectors * 32) / 2;
}

/** Extents of a tile's inputs as they lie in shared memory: DepthwiseTile of the kernel. */
function tileInputs(t: TileShape, g: Geometry): { rows: number; phaseRows: number; columns: number } {
  const [strideY, strideX] = g.strides as [number, number];
  const rows = (t.patches * patch - 1) * strideY + (g.kernel[0]! - 1) * g.dilations[0]! + 1;
  return { rows, phaseRows: Math.ceil(rows / strideY) * strideY, columns: t.windowsX * t.windows * strideX + 1 };
}

export function tileBytes(t: TileShape, g: Geometry): number {
  const { phaseRows, columns } = tileInputs(t, g);
  const plane = t.images * phaseRows * (columns + (columns % 2 === 0 ? 1 : 0)) * 16;
  const skew = Math.max(1, Math.floor(Math.floor(32 / t.vectors) / 4)) * 16;
  const table = t.vectors * 8 * g.kernel[0]! * bandWords(g.strides[1]!) * 4;
  return t.vectors * (8 * plane + skew) + table;
}

const places: readonly Omit<TileShape, 'vectors'>[] = [
  { windowsX: 1, windows: 1, patches: 1, images: 2 },
  { windowsX: 1, windows: 1, patches: 1, images: 4 },
  { windowsX: 1, windows: 1, patches: 2, images: 1 },
  { windowsX: 1, windows: 2, patches: 2, images: 1 },
  { windowsX: 1, windows: 2, patches: 2, images: 2 },
  { windowsX: 1, windows: 2, patches: 4, images: 1 },
  { windowsX: 2, windows: 2, patches: 2, images: 1 },
  { windowsX: 2, windows: 2, patches: 4, images: 1 },
  { windowsX: 4, windows: 2, patches: 2, images: 1 },
];
const vectorCounts = [1, 2, 3, 4, 6, 8] as const;
const mostThreads = 512;
const mostCandidates = 8;

export function tileCandidates(group: GroupView): readonly CandidateOutline[] {
  const g = geometryOf(group);
  const machine = machineOf();
  const layouts = operandLayouts(group);
  return places
    .flatMap((place) => vectorCounts.map((vectors): TileShape => ({ ...place, vectors })))
    .filter((t) => t.vectors * vectorChannels < (g.x[1] as number) + vectorChannels && tileThreads(t) <= mostThreads)
    .filter((t) => tileBytes(t, g) <= machine.sharedBytes / 2 - 1024)
    .map((t) => ({
      variant: 'tensor',
      parameters: { ...t },
      ...layouts,
      estimate: estimate(t, g, dtypeInfo(dtypeOf(group.outputs[0])!).bits / 8, machine),
    }))
    .sort((a, b) => a.estimate - b.estimate)
    .slice(0, mostCandidates);
}

/** Microseconds: a block's turns of the load-store unit, which everything passes, against what memory takes. */
function estimate(
  t: TileShape,
  g: Geometry,
  outputBytes: number,
  machine: { readonly multiprocessors: number; readonly sharedBytes: number },
): number {
  const [images, outY, outX] = [g.out[0]!, g.out[2]!, g.out[3]!].map(likelyExtent) as [number, number, number];
  const channels = g.x[1] as number;
  const blocks =
    Math.ceil(channels / (t.vectors * vectorChannels)) *
    Math.ceil(outX / (t.windowsX * t.windows * patch)) *
    Math.ceil(outY / (t.patches * patch)) *
    Math.ceil(images / t.images);
  const warps = tileThreads(t) / 32;
  const strideX = g.strides[1]!;
  const { rows, columns } = tileInputs(t, g);
  // Two loads of 16 bytes, which touch a line for each pixel, and eight stores for 32 pairs of pixels.
  const lines = 32 / t.vectors;
  const fetch = ((t.images * rows * columns * 4 * t.vectors) / 32) * (2 * Math.max(4, lines) + 8);
  const perRow = 2 * (t.windows * strideX + 1) + strideX + 1;
  const product = warps * 8 * g.kernel[0]! * perRow;
  const store = warps * t.windows * 4 * 32;
  const resident = Math.max(
    1,
    Math.min(Math.floor(machine.sharedBytes / (tileBytes(t, g) + 1024)), Math.floor(16 / warps), 16),
  );
  const cycles = fetch + product + store;
  // Blocks of a multiprocessor hide each other's waits; one alone waits for its inputs, then works.
  const latency = 1600;
  const waves = Math.ceil(blocks / (machine.multiprocessors * resident));
  const perProcessor = Math.ceil(blocks / machine.multiprocessors);
  const time = Math.max(perProcessor * cycles, waves * (latency + cycles)) / cyclesPerMicrosecond;
  const elements = images * channels * likelyExtent(g.x[2]!) * likelyExtent(g.x[3]!);
  const memory = memoryMicroseconds(elements * 2 + images * channels * outY * outX * outputBytes);
  return Math.max(memory, launchMicroseconds + time);
}
