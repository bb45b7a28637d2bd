/** Tiles of the stem kernel (native/cuda/kernels/stem.cuh), and how long they take. */

import type { GroupView } from '@tensorwright/core';
import type { CandidateOutline } from '../../tactic.js';
import { type Geometry, geometryOf, likelyExtent } from '../contraction/conv-problem.js';
import { operandLayouts } from '../contraction/group.js';
import { machineOf } from '../contraction/machine.js';
import type { Machine } from '../contraction/tiles.js';
import {
  blocksMicroseconds,
  bringCycles,
  hasRegisters,
  imageBytes,
  likelyBytes,
  linesBytes,
  productsCycles,
  residentBlocks,
} from './cost.js';
import { imageOf, plainGroup } from './image.js';
import { type Begins, linesShape, type LinesShape, type Loads, loadsOf, weightBytes } from './lines.js';

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

export function stemBegins(t: StemTile, g: Geometry): Begins {
  const pad = g.pads[1]!;
  return { first: typeof pad === 'number' ? -pad : undefined, apart: t.warpsX * 16 * g.strides[1]! };
}

function tileLines(t: StemTile, g: Geometry, loads: Loads): LinesShape {
  return linesShape(t.warpsY * t.rows, t.warpsX * 16, g, loads);
}

export function stemBytes(t: StemTile, g: Geometry, loads: Loads): number {
  return weightBytes(g) + tileLines(t, g, loads).bytes;
}

const mostThreads = 512;
const mostCandidates = 8;

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
    .filter((t) => hasRegisters(stemThreads(t), registersOf(t)))
    .filter((t) => stemBytes(t, g, loadsOf(g, stemBegins(t, g))) <= Math.min(machine.sharedBytes / 2 - 1024, 99 * 1024))
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

/** Of sixteen outputs of eight channels. */
const storeCycles = 4;

function estimate(t: StemTile, group: GroupView, g: Geometry, image: number, machine: Machine): number {
  const [images, outY, outX] = [g.out[0]!, g.out[2]!, g.out[3]!].map(likelyExtent) as [number, number, number];
  const threads = stemThreads(t);
  const loads = loadsOf(g, stemBegins(t, g));
  const lines = tileLines(t, g, loads);
  const blocks = {
    count: images * Math.ceil(outX / (t.warpsX * 16)) * Math.ceil(outY / (t.warpsY * t.rows)),
    warps: threads / 32,
    bring: bringCycles(lines, loads, g),
    loaded: linesBytes(lines, group.node.inputs[image]),
    work: productsCycles(g, t.rows, t.columns) + t.rows * t.columns * storeCycles,
    resident: residentBlocks(threads, registersOf(t), stemBytes(t, g, loads), machine),
  };
  return blocksMicroseconds(blocks, imageBytes(group, g, image) + likelyBytes(g.out, group.outputs[0]), machine);
}
