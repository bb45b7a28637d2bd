/**
 * How long a block of a mobile network takes as one kernel, by the clocks of its steps: rates of an H200, fitted to 508
 * times of 46 blocks, which they meet to 17 % (standard deviation).
 */

import { dtypeInfo } from '@tensorwright/core';
import { argumentsOf } from '../../print/scalars.js';
import { likelyExtent } from '../contraction/conv-problem.js';
import { usableFor } from '../contraction/machine.js';
import type { Machine } from '../contraction/tiles.js';
import { cyclesPerMicrosecond, dtypeOf, launchMicroseconds, memoryMicroseconds } from '../operands.js';
import type { ResidualProblem } from './problem.js';
import { type Layout, residentByRegisters, type ResidualShape } from './shape.js';

/** Of an instruction of 16 rows, 8 columns and 16 steps of depth, on a multiprocessor. */
const productClocks = 2.4;
/** Of a load of four matrices for such instructions. */
const fragmentClocks = 4;
/** Instructions of 32 threads that begin in a clock. */
const issued = 4;
/** What a warp waits for a step of depth, for a pair of results, for a filter's result, and at a barrier. */
const stepWait = 45;
const unitWait = 140;
const filterWait = 160;
const barrierWait = 60;
/** From the launch to the first product, and from the last one to the end, without and with a cluster's exchange. */
const beginWait = 600;
const endWait = 500;
const exchangeWait = 1500;
/** Of four expanded results: two activations of each, conversions of pairs and their stores. */
const resultInstructions = 14;
/** Bytes in a clock that a multiprocessor gets from the cache, and in a microsecond that all of them get. */
const loadBytes = 40;
const cacheBytesPerMicrosecond = 4.5e6;
/** Steps do not overlap as well as they might, and those of several blocks hinder each other. */
const unevenness = 1.7;
const hindrance = 1.4;
/** Of the multiprocessors that clusters might fill, what those of four blocks and more do find free at once. */
const clusterFill = 0.85;
const largeCluster = 4;
/** What the model may be wrong by before a block is taken for faster than its parts. */
const doubt = 1.1;

/** What a step of a block of threads takes of a multiprocessor, in clocks but for the instructions of its warps. */
interface Load {
  readonly instructions: number;
  /** Of shared memory: accesses of 128 bytes. */
  readonly shared: number;
  readonly tensor: number;
  /** From the first instruction to the last, where nothing else runs. */
  readonly wait: number;
}

/** Microseconds. */
export function estimateResidual(
  problem: ResidualProblem,
  shape: ResidualShape,
  layout: Layout,
  machine: Machine,
): number {
  const { out, x } = problem.filter.geometry;
  const [images, outY, outX] = [out[0]!, out[2]!, out[3]!].map(likelyExtent) as [number, number, number];
  const tiles = images * Math.ceil(outY / shape.tileY) * Math.ceil(outX / shape.tileX);
  const blocks = tiles * shape.splits;
  const chunks = Math.ceil(layout.chunks / shape.splits);
  const { project } = problem;
  const last = project ? projectLoad(shape, layout) : storeLoad(shape);
  const steps = [expandLoad(problem, shape, layout), filterLoad(problem, shape), last];
  const sum = (of: keyof Load): number => steps.reduce((total, step) => total + step[of], 0);
  const busy = chunks * unevenness * Math.max(sum('instructions') / issued, sum('shared'), sum('tensor'));
  const wait = Math.max(busy, chunks * (sum('wait') + 2 * barrierWait));
  const inputBytes = layout.pixels * problem.inputs * 2;
  const exchanged = project ? shape.tileY * shape.tileX * problem.outputs * 4 : 0;
  const fixed =
    beginWait +
    (inputBytes + Math.min(chunks, shape.stages) * layout.weightBytes * 0.3) / loadBytes +
    (shape.splits > 1 && project ? exchangeWait + (2 * exchanged) / loadBytes : endWait + exchanged / (2 * loadBytes));
  const fit = Math.floor(machine.sharedBytes / (layout.sharedBytes + 1024));
  const resident = Math.max(1, Math.min(fit, residentByRegisters(shape, layout)));
  const wave = (together: number): number => Math.max(wait, together * busy * hindrance) + fixed;
  const usable = project ? placesFor(shape.splits, machine) : machine.multiprocessors;
  const perWave = usable * resident;
  const full = Math.floor(blocks / perWave);
  const rest = blocks - full * perWave;
  const clocks = full * wave(resident) + (rest > 0 ? wave(Math.ceil(rest / usable)) : 0);
  const cached = (blocks * (chunks * layout.weightBytes + inputBytes)) / cacheBytesPerMicrosecond;
  const results = images * outY * outX * problem.outputs;
  const result = (project ?? problem.filter).group;
  const outputBytes = dtypeInfo(dtypeOf(result.outputs[0])!).bits / 8;
  const residual = result.expressions().some((e) => argumentsOf(e).length > 1) ? outputBytes : 0;
  const inputs = images * problem.inputs * likelyExtent(x[2]!) * likelyExtent(x[3]!) * 2;
  const memory = memoryMicroseconds(inputs + results * (outputBytes + residual));
  return doubt * Math.max(memory, launchMicroseconds + Math.max(clocks / cyclesPerMicrosecond, cached));
}

/** Multiprocessors that clusters of so many blocks work on at once. */
function placesFor(cluster: number, { multiprocessors }: Machine): number {
  const usable = usableFor(cluster, multiprocessors);
  return cluster < largeCluster ? usable : Math.max(cluster, Math.floor(usable * clusterFill));
}

function expandLoad({ expand }: ResidualProblem, shape: ResidualShape, { depth, pixels }: Layout): Load {
  if (!expand) return { instructions: 0, shared: 0, tensor: 0, wait: 0 };
  const { rows, columns, chunk, warps } = shape;
  const units = Math.ceil(pixels / (16 * rows)) * (chunk / 8 / columns);
  const steps = depth / 16;
  const products = rows * columns * steps;
  const loads = steps * (rows + columns / 2);
  const alone = steps * Math.max(stepWait, rows * columns * 8) + unitWait + rows * columns * resultInstructions;
  return {
    instructions: units * (products + loads + rows * columns * resultInstructions + 40),
    shared: units * (loads * fragmentClocks + rows * columns * 2),
    tensor: units * products * productClocks,
    wait: Math.ceil(units / warps) * alone,
  };
}

function filterLoad({ filter }: ResidualProblem, shape: ResidualShape): Load {
  const { strides, dilations } = filter.geometry;
  const kernel = filter.geometry.kernel as readonly [number, number];
  const { tileY, tileX, run, chunk, warps } = shape;
  const span = (run - 1) * strides[1]! + (kernel[1] - 1) * dilations[1]! + 1;
  const items = ((chunk / 2) * tileY * tileX) / run / 32;
  const instructions = kernel[0] * (span * 3 + kernel[1] * (1 + 2 * run)) + run * 7 + 30;
  return {
    instructions: Math.ceil(items) * instructions,
    shared: Math.ceil(items) * (kernel[0] * (span + 2 * kernel[1]) + run),
    tensor: 0,
    wait: Math.ceil(items / warps) * (filterWait + instructions * 1.5),
  };
}

function projectLoad({ chunk, warps }: ResidualShape, { down, across }: Layout): Load {
  const steps = chunk / 16;
  const products = down * across * steps;
  const loads = steps * (down + Math.ceil(across / 2));
  return {
    instructions: warps * (products + loads + 20),
    shared: warps * loads * fragmentClocks,
    tensor: warps * products * productClocks,
    wait: steps * Math.max(stepWait, down * across * 8),
  };
}

function storeLoad({ tileY, tileX, chunk, warps }: ResidualShape): Load {
  const items = (tileY * tileX * chunk) / 8 / 32;
  return {
    instructions: Math.ceil(items) * 40 + warps * 60,
    shared: items * 8,
    tensor: 0,
    wait: Math.ceil(items / warps) * 60 + 200,
  };
}
