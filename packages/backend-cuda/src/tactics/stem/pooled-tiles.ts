/** Tiles of the kernel of pooled stems (native/cuda/kernels/stem_pool.cuh), and how long they take. */

import type { GroupView } from '@tensorwright/core';
import type { CandidateOutline } from '../../tactic.js';
import { likelyExtent } from '../contraction/conv-problem.js';
import { operandLayouts } from '../contraction/group.js';
import { isHopper, machineOf } from '../contraction/machine.js';
import type { Machine } from '../contraction/tiles.js';
import {
  blocksMicroseconds,
  bringCycles,
  imageBytes,
  likelyBytes,
  linesBytes,
  groupCycles,
  hasRegisters,
  productsCycles,
  residentBlocks,
} from './cost.js';
import { imageOf, plainGroup } from './image.js';
import {
  type Begins,
  linesShape,
  type LinesShape,
  type Loads,
  loadsOf,
  runWords,
  stepsOf,
  weightBytes,
} from './lines.js';
import type { PooledStem } from './pooled.js';

/**
 * A block's pooled outputs: warpsX times what sixteen columns give along x, warpsY · passes · rows along y, and
 * warpsN · columns · 8 channels, which are all.
 */
export interface PooledTile {
  readonly warpsX: number;
  readonly warpsY: number;
  readonly warpsN: number;
  /** Pooled rows that a warp convolves at once. */
  readonly rows: number;
  readonly passes: number;
  /** Of eight channels, of a warp. */
  readonly columns: number;
  /** 1: four warps along x multiply together. */
  readonly warpgroups: 0 | 1;
}

export function pooledThreads(t: PooledTile): number {
  return t.warpsX * t.warpsY * t.warpsN * 32;
}

/** Pooled columns and rows of a block. */
export function pooledExtents(t: PooledTile, { kernel }: PooledStem): { readonly x: number; readonly y: number } {
  return { x: t.warpsX * (Math.floor((16 - kernel[1]) / 2) + 1), y: t.warpsY * t.passes * t.rows };
}

export function pooledBegins(t: PooledTile, p: PooledStem): Begins {
  const pad = p.geometry.pads[1]!;
  const stride = p.geometry.strides[1]!;
  const first = typeof pad === 'number' ? -pad - p.pads[1] * stride : undefined;
  return { first, apart: pooledExtents(t, p).x * 2 * stride };
}

function tileLines(t: PooledTile, p: PooledStem, loads: Loads): LinesShape {
  const { x, y } = pooledExtents(t, p);
  const width = x * 2 + 16 - (x / t.warpsX) * 2;
  return linesShape(y * p.strideY + p.kernel[0] - p.strideY, width, p.geometry, loads);
}

export function pooledBytes(t: PooledTile, p: PooledStem, loads: Loads): number {
  return weightBytes(p.geometry) + tileLines(t, p, loads).bytes;
}

const fewestThreads = 64;
const mostThreads = 512;
const mostSums = 128;
/** Heights of tiles that convolve as many rows of as many channels at once: how they share a device is hard to tell. */
const mostAlike = 3;

/** Whether a multiprocessor holds any tile. */
export function hasPooledCandidates(p: PooledStem): boolean {
  for (const t of tilesOf(p)) if (fits(t, p)) return true;
  return false;
}

export function pooledCandidates(p: PooledStem, group: GroupView): readonly CandidateOutline[] {
  const machine = machineOf();
  const layouts = operandLayouts(plainGroup(p.stem));
  const image = imageOf(p.stem)!.input;
  const outlines = [...tilesOf(p)]
    .filter((t) => fits(t, p))
    .map((t) => ({
      parameters: { ...t },
      ...(t.warpgroups === 1 && { variant: 'warpgroups' }),
      ...layouts,
      inputs: layouts.inputs.map((access, i) => (i === image ? ('strided' as const) : access)),
      estimate: estimate(t, p, group, image, machine),
    }))
    .sort((a, b) => a.estimate - b.estimate);
  const heights = new Map<string, Set<number>>();
  return outlines.filter(({ parameters: t }) => {
    const kind = [t.rows, t.columns, t.warpgroups].join(' ');
    const seen = heights.get(kind) ?? new Set();
    const height = pooledExtents(t, p).y;
    if (seen.has(height) || seen.size === mostAlike) return false;
    heights.set(kind, seen.add(height));
    return true;
  });
}

function* tilesOf(p: PooledStem): Generator<PooledTile> {
  const fours = Math.ceil((p.geometry.w[0] as number) / 32);
  const wides = [1, 2].filter((wide) => fours % wide === 0);
  for (const warpsX of [1, 2, 4, 8])
    for (const warpsY of [1, 2, 4])
      for (const wide of wides)
        for (const rows of [1, 2])
          for (const passes of [1, 2, 4, 7])
            yield { warpsX, warpsY, warpsN: fours / wide, rows, passes, columns: 4 * wide, warpgroups: 0 };
  if (!isHopper() || !mayGroup(p)) return;
  for (const warpsX of [4, 8])
    for (const warpsY of [1, 2])
      for (const rows of [1, 2])
        for (const passes of [1, 2, 4, 7, 14])
          yield { warpsX, warpsY, warpsN: 1, rows, passes, columns: 4 * fours, warpgroups: 1 };
}

function fits(t: PooledTile, p: PooledStem): boolean {
  const threads = pooledThreads(t);
  if (threads > mostThreads || threads < fewestThreads || sumsOf(t, p) > mostSums) return false;
  const loads = loadsOf(p.geometry, pooledBegins(t, p));
  const each = registersOf(t, p, loads);
  return each <= 255 && hasRegisters(threads, each) && pooledBytes(t, p, loads) <= sharedBytes(machineOf());
}

function sharedBytes(machine: Machine): number {
  return Math.min(machine.sharedBytes / 2 - 1024, 99 * 1024);
}

/** Rows are whole steps of the depth apart: WarpgroupProducts of native/cuda/kernels/stem_pool_wgmma.cuh. */
function mayGroup({ geometry: g }: PooledStem): boolean {
  return g.dilations[0] === 1 && (g.strides[0]! * (g.x[1] as number) * runWords(g.kernel[1]!)) % 8 === 0;
}

/** What a thread may use: its sums, fragments, those of the image that several rows read, and addresses of pixels. */
function registersOf(t: PooledTile, p: PooledStem, { vector }: Loads): number {
  const rows = t.rows * p.strideY;
  if (t.warpgroups === 0) return sumsOf(t, p) + (rows > 2 ? 104 : vector === 1 ? 80 : 64);
  const { geometry: g } = p;
  const shift = (g.strides[0]! * (g.x[1] as number) * runWords(g.kernel[1]!)) / 8;
  return sumsOf(t, p) + 4 * ((rows - 1) * shift + stepsOf(g)) + 36;
}

function sumsOf(t: PooledTile, { strideY }: PooledStem): number {
  return 4 * t.rows * strideY * t.columns;
}

/** Blocks that a multiprocessor is to have room for. */
export function pooledResident(t: PooledTile, p: PooledStem, loads: Loads): number {
  return residentBlocks(pooledThreads(t), registersOf(t, p, loads), pooledBytes(t, p, loads), machineOf());
}

/** To make pairs of sixteen outputs of eight channels, and the largest of them. */
const pairCycles = 4;

function estimate(t: PooledTile, p: PooledStem, group: GroupView, image: number, machine: Machine): number {
  const { geometry: g, strideY } = p;
  const { x, y } = pooledExtents(t, p);
  const [images, , outY, outX] = p.out.map(likelyExtent) as [number, number, number, number];
  const loads = loadsOf(g, pooledBegins(t, p));
  const overlap = p.kernel[0] - strideY;
  const convolved = t.passes * t.rows * strideY + overlap;
  const cycles = t.warpgroups === 1 ? groupCycles : productsCycles;
  const products =
    t.passes * cycles(g, t.rows * strideY, t.columns) + (overlap > 0 ? cycles(g, overlap, t.columns) : 0);
  const lines = tileLines(t, p, loads);
  const blocks = {
    count: images * Math.ceil(outX / x) * Math.ceil(outY / y),
    warps: pooledThreads(t) / 32,
    bring: bringCycles(lines, loads, g),
    loaded: linesBytes(lines, group.node.inputs[image]),
    work: products + convolved * t.columns * pairCycles,
    resident: pooledResident(t, p, loads),
  };
  return blocksMicroseconds(blocks, imageBytes(p.stem, g, image) + likelyBytes(p.out, group.outputs[0]), machine);
}
