/** Which ways to cut a block of a mobile network are worth a try. */

import { memo } from '@tensorwright/core';
import { machineOf, mostOfCluster } from '../contraction/machine.js';
import type { Machine } from '../contraction/tiles.js';
import { estimateResidual } from './cost.js';
import type { ResidualProblem } from './problem.js';
import { type Layout, layoutOf, type ResidualShape } from './shape.js';

export interface Ranked {
  readonly shape: ResidualShape;
  readonly estimate: number;
}

/** Output pixels along y and x, and neighbours of a thread. */
const tiles: readonly (readonly [number, number, number])[] = [
  [8, 8, 8],
  [8, 8, 4],
  [4, 8, 4],
  [2, 8, 4],
  [7, 7, 7],
  [4, 7, 7],
  [2, 7, 7],
  [4, 14, 7],
  [2, 14, 7],
  [7, 14, 7],
  [4, 16, 8],
  [8, 16, 8],
];
const chunkSizes: readonly number[] = [32, 48, 64, 96];
const warpCounts: readonly number[] = [4, 8];
const downCounts: readonly number[] = [1, 2, 4, 8];
const expansions: readonly (readonly [number, number])[] = [
  [1, 2],
  [1, 4],
  [2, 2],
  [2, 4],
  [1, 6],
  [2, 6],
];
const splitCounts: readonly number[] = [1, 2, 3, 4, 6, 8];
const mostStages = 4;
/** Of channels that are computed, what may be none. */
const mostWaste = 0.34;
/** Registers of sums that a thread can hold beside its work. */
const mostSums = 96;
/** Fragments that are expanded at once where registers go to the stores of what is filtered. */
const mostUnprojected = 8;
/** Of the multiprocessor's memory, what its blocks cannot have. */
const reservedBytes = 1024;
/** Of so many that differ, so many are offered: by times of an H200 the fastest of twelve is among the first seven. */
const mostVaried = 12;
const mostCandidates = 8;

/** The fastest first; of tiles and splits of unlike sizes, as the model knows little of what sets them apart. */
export const residualCandidates: (problem: ResidualProblem) => readonly Ranked[] = memo((problem) =>
  rank(problem, machineOf()),
);

/** Whether there are any. To rank them all takes milliseconds, and many chains are asked about that are not taken. */
export function hasResidualCandidates(problem: ResidualProblem): boolean {
  const machine = machineOf();
  for (const shape of shapesOf(problem, machine.clusters)) if (fits(layoutOf(problem, shape), machine)) return true;
  return false;
}

function fits({ sharedBytes, down, across }: Layout, machine: Machine): boolean {
  return sharedBytes <= machine.sharedBytes - reservedBytes && down * across * 4 <= mostSums;
}

function rank(problem: ResidualProblem, machine: Machine): readonly Ranked[] {
  const all: Ranked[] = [];
  for (const shape of shapesOf(problem, machine.clusters)) {
    const layout = layoutOf(problem, shape);
    if (fits(layout, machine)) all.push({ shape, estimate: estimateResidual(problem, shape, layout, machine) });
  }
  all.sort((a, b) => a.estimate - b.estimate);
  const varied = distinct(all).slice(0, mostVaried);
  return varied.sort((a, b) => a.estimate - b.estimate).slice(0, mostCandidates);
}

/** The first of every kind, then the first of every tile, chunk and number of splits. */
function distinct(ranked: readonly Ranked[]): Ranked[] {
  const kindOf = ({ shape: { tileY, tileX, splits } }: Ranked): string =>
    `${String(Math.ceil(Math.log2(tileY * tileX)))} ${String(Math.floor(Math.log2(splits)))}`;
  const placeOf = ({ shape }: Ranked): string => [shape.tileY, shape.tileX, shape.chunk, shape.splits].join(' ');
  const kinds = firstOf(ranked, kindOf);
  const known = new Set(kinds.map(placeOf));
  return [...kinds, ...firstOf(ranked, placeOf).filter((r) => !known.has(placeOf(r)))];
}

function firstOf(ranked: readonly Ranked[], keyOf: (r: Ranked) => string): readonly Ranked[] {
  const first = new Map<string, Ranked>();
  for (const r of ranked) if (!first.has(keyOf(r))) first.set(keyOf(r), r);
  return [...first.values()];
}

function* shapesOf(problem: ResidualProblem, clusters: boolean): Generator<ResidualShape> {
  const { expand, project, expanded, outputs } = problem;
  const least = Math.min(...chunkSizes.map((chunk) => Math.ceil(expanded / chunk) * chunk));
  for (const chunk of chunkSizes) {
    const chunks = Math.ceil(expanded / chunk);
    if (chunks * chunk > Math.max(least, expanded * (1 + mostWaste))) continue;
    for (const splits of splitCounts) {
      if (splits > Math.min(chunks, clusters || !project ? mostOfCluster : 1)) continue;
      const each = Math.ceil(chunks / splits);
      for (const stages of new Set([2, Math.min(each, mostStages)].map((n) => Math.min(n, each))))
        for (const [tileY, tileX, run] of tiles)
          for (const warps of warpCounts) {
            const warpsDown = project ? downOf(tileY * tileX, outputs, warps) : 1;
            for (const [rows, columns] of expand ? expansions : expansions.slice(0, 1))
              if ((chunk / 8) % columns === 0 && (project || rows * columns <= mostUnprojected))
                yield { tileY, tileX, warps, warpsDown, rows, columns, run, chunk, stages, splits };
          }
    }
  }
}

/** Warps that share the rows of a projection, so that they load as few fragments as there may be. */
function downOf(pixels: number, outputs: number, warps: number): number {
  const loads = (down: number): number =>
    Math.ceil(Math.ceil(pixels / 16) / down) * warps + (Math.ceil(Math.ceil(outputs / 8) / (warps / down)) * warps) / 2;
  const work = (down: number): number =>
    Math.ceil(Math.ceil(pixels / 16) / down) * Math.ceil(Math.ceil(outputs / 8) / (warps / down)) * warps;
  const cost = (down: number): number => Math.max(loads(down) * 4, work(down) * 2.4) + work(down) / 4;
  return downCounts.filter((down) => down <= warps).reduce((best, down) => (cost(down) < cost(best) ? down : best));
}
