/** The depthwise kernel in ordinary arithmetic: a thread computes a few neighbouring outputs, for any window and type. */

import {
  ceilDivDims,
  type Dim,
  dtypeInfo,
  elementCount,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  invariant,
  type MemoryView,
  mulDims,
  productOf,
  type Tensor,
  constantOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { cxxType } from '../../print/types.js';
import { indexType } from '../../print/views.js';
import type { CandidateOutline } from '../../tactic.js';
import { type Geometry, geometryOf } from '../contraction/conv-problem.js';
import { sumType } from '../contraction/dot-problem.js';
import { likelyExtents, operandLayouts, problemOf } from '../contraction/group.js';
import { packConstant } from '../contraction/pack.js';
import type { Problem } from '../contraction/problem.js';
import { dtypeOf, memoryMicroseconds } from '../operands.js';
import { channelWidth, printChannelResult } from './result.js';

const threads = 128;
const runs = [4, 2, 8, 1] as const;
const cacheBytesPerMicrosecond = 10e6;
/** Fitted to an H200: of a row, of an output, and of each of its taps. */
const waitMicroseconds = 0.4;
const outputMicroseconds = 0.675e-6;
const tapMicroseconds = 0.126e-6;

export function rowCandidates(group: GroupView): readonly CandidateOutline[] {
  const { x, kernel, strides } = geometryOf(group);
  const bytes = dtypeInfo(dtypeOf(group.anchor!.inputs[0])!).bits / 8;
  const outputs = (x[1] as number) * likelyExtents(problemOf(group)).rows;
  return runs.map((run) => {
    // Every pixel comes from memory once, and from the caches as often as windows of different threads hold it.
    const reads = (((run - 1) * strides.at(-1)! + kernel.at(-1)!) / run) * elementCount(kernel.slice(0, -1));
    const cached = (outputs * bytes * (reads + 1)) / cacheBytesPerMicrosecond;
    const memory = memoryMicroseconds(outputs * bytes * (1 + elementCount(strides)));
    // A thread waits for each row of its window before it asks for the next.
    const waits = waitMicroseconds * elementCount(kernel.slice(0, -1));
    const work = Math.max(waits, cached, outputs * (outputMicroseconds + tapMicroseconds * elementCount(kernel)));
    return {
      variant: 'rows',
      parameters: { run },
      ...operandLayouts(group),
      estimate: Math.max(memory, memoryMicroseconds(0) + work),
    };
  });
}

export function emitRows(group: GroupView, run: number, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const { text, vectors, runs } = printWindow(group, run, context, args);
  const blocks = ceilDivDims(productOf([vectors, geometryOf(group).out[0]!, runs]), threads);
  return launchStep({
    uses: ['depthwise'],
    holes: text,
    text: `
extern "C" __global__ void __launch_bounds__(${String(threads)}) depthwise(const __grid_constant__ Arguments a) {
  depthwise_rows<Window, ${String(run)}, ${String(threads)}>(a);
}`,
    arguments: args,
    launches: [{ function: 'depthwise', grid: [blocks, 1, 1], block: [threads, 1, 1] }],
  });
}

/** How blocks that sum what they store share an image. */
export interface PooledShape {
  readonly run: number;
  /** Runs of each thread. */
  readonly rounds: number;
}

/** Threads of a block that sums what it stores: rows of them as wide as a pixel. */
function pooledThreads(vectors: number): { readonly down: number; readonly threads: number } {
  const down = Math.max(1, Math.floor(usualPooled / vectors));
  return { down, threads: Math.ceil((down * vectors) / warp) * warp };
}

const warp = 32;
const usualPooled = 256;
const mostPooled = 512;

/** Channels of a thread of an image that is dense. */
function usualWidth(group: GroupView): number {
  const { bits } = dtypeInfo(dtypeOf(group.anchor!.inputs[0])!);
  return Math.min(8, 128 / bits);
}

/** Why no block sums what it stores over pixels; undefined where one does. */
export function refusePooledRows(group: GroupView): string | undefined {
  const channels = geometryOf(group).x[1] as number;
  const width = usualWidth(group);
  if (sumType(dtypeOf(group.anchor!.inputs[0])!) !== 'f32') return 'only sums of float32 are pooled';
  return channels % width === 0 && channels / width <= mostPooled ? undefined : 'a pixel is no row of threads';
}

/** Sums over pixels of what is stored, for each image: rows of all channels. */
export function pooledRowSlots(group: GroupView, { run, rounds }: PooledShape): Dim {
  const g = geometryOf(group);
  const { down } = pooledThreads((g.x[1] as number) / usualWidth(group));
  return ceilDivDims(runsOf(g, run), down * rounds);
}

/** The kernel that also writes such sums to `pool`, a C++ pointer. */
export function printPooledRows(
  group: GroupView,
  shape: PooledShape,
  pool: string,
  context: EmitContext,
  args: Arguments,
): { readonly holes: string; readonly text: string; readonly launch: Launch } {
  const { run, rounds } = shape;
  const printed = printWindow(group, run, context, args);
  invariant(printed.width === usualWidth(group), 'a dense image of vectors is aligned');
  const { threads: count } = pooledThreads(printed.vectors);
  return {
    holes: printed.text,
    text: `
extern "C" __global__ void __launch_bounds__(${String(count)}) depthwise(const __grid_constant__ Arguments a) {
  depthwise_pooled<Window, ${String(run)}, ${String(count)}, ${String(rounds)}>(a, ${pool});
}`,
    launch: {
      function: 'depthwise',
      grid: [mulDims(geometryOf(group).out[0]!, pooledRowSlots(group, shape)), 1, 1],
      block: [count, 1, 1],
    },
  };
}

/** Of an image. */
function runsOf(g: Geometry, run: number): Dim {
  return productOf([...g.out.slice(2, -1), ceilDivDims(g.out.at(-1)!, run)]);
}

function printWindow(
  group: GroupView,
  run: number,
  context: EmitContext,
  args: Arguments,
): { readonly text: string; readonly width: number; readonly vectors: number; readonly runs: Dim } {
  const g = geometryOf(group);
  const [xInput, wInput] = group.anchorInputs as [number, number];
  const x = context.view(xInput)!;
  const channels = g.x[1] as number;
  const dtype = dtypeOf(group.node.inputs[xInput])!;
  const accumulator = sumType(dtype);
  const result = printChannelResult(group, g, accumulator, context, args);
  const rank = g.kernel.length;
  const weights = tapsFirst(group, wInput);
  const width = channelWidth(group, g, context);
  // Axes of the image as z, y and x; those it does not have are one pixel wide.
  const axis = (name: 'x' | 'y' | 'z'): number => rank - 1 - 'xyz'.indexOf(name);
  const has = (name: 'x' | 'y' | 'z'): boolean => axis(name) >= 0;
  const out = (name: 'x' | 'y' | 'z'): string => (has(name) ? args.dim(g.out[2 + axis(name)]!) : '1');
  const taps = (name: 'x' | 'y' | 'z'): number => (has(name) ? g.kernel[axis(name)]! : 1);
  const index = indexType(x);
  const source = (name: 'y' | 'z', tap: string): string =>
    has(name)
      ? `at.${name} * ${String(g.strides[axis(name)]!)} + ${tap} * ${String(g.dilations[axis(name)]!)} - ${args.dim(g.pads[axis(name)]!)}`
      : '0';
  const extent = (name: 'x' | 'y' | 'z'): string => (has(name) ? args.dim(g.x[2 + axis(name)]!) : '1');
  const stride = (name: 'x' | 'y' | 'z'): string => (has(name) ? args.dim(x.strides[2 + axis(name)]!) : '0');
  const type = cxxType(dtype);
  const weight = cxxType(dtypeOf(group.node.inputs[wInput])!);
  const vectors = channels / width;
  const xs = ceilDivDims(g.out.at(-1)!, run);
  const runs = runsOf(g, run);
  const text = `
struct Arguments;
${result}
struct Window {
  using Element = ${type};
  using Weight = ${weight};
  using Accumulator = ${accumulator};
  static constexpr int width = ${String(width)}, taps_z = ${String(taps('z'))}, taps_y = ${String(taps('y'))}, taps_x = ${String(taps('x'))};
  static constexpr int stride_x = ${String(g.strides.at(-1)!)}, dilation_x = ${String(g.dilations.at(-1)!)};
  static constexpr int vectors = ${String(vectors)};
  TW_DEVICE static i32 runs(const Arguments& a) { return ${args.dim(runs)}; }
  struct Position { i32 channel, n, z, y, x, source_x, row; };
  TW_DEVICE static bool position(const Arguments& a, u32 i, int run, Position& at) {
    at.channel = i % vectors * width;
    i /= vectors;
    at.x = i % static_cast<u32>(${args.dim(xs)}) * run;
    i /= static_cast<u32>(${args.dim(xs)});
    at.row = i * ${out('x')} + at.x;
    at.y = i % static_cast<u32>(${out('y')});
    i /= static_cast<u32>(${out('y')});
    at.z = i % static_cast<u32>(${out('z')});
    at.n = i / static_cast<u32>(${out('z')});
    at.source_x = at.x * stride_x - ${args.dim(g.pads[rank - 1]!)};
    return at.n < ${args.dim(g.out[0]!)};
  }
  TW_DEVICE static bool row_inside(const Arguments& a, const Position& at, int z, int y) {
    return static_cast<u32>(${source('z', 'z')}) < static_cast<u32>(${extent('z')}) &&
           static_cast<u32>(${source('y', 'y')}) < static_cast<u32>(${extent('y')});
  }
  TW_DEVICE static Vec<Element, width> pixel(const Arguments& a, const Position& at, int z, int y, int p) {
    const i32 source_x = at.source_x + p;
    if (static_cast<u32>(source_x) >= static_cast<u32>(${extent('x')})) return {};
    const ${index} offset = ${index}(at.n) * ${args.dim(x.strides[0]!)} + ${index}(${source('z', 'z')}) * ${stride('z')} +
                         ${index}(${source('y', 'y')}) * ${stride('y')} + ${index}(source_x) * ${stride('x')};
    return load_vec<width>(${args.input(xInput, type)} + offset + ${index}(at.channel) * ${args.dim(x.strides[1]!)});
  }
  TW_DEVICE static Vec<Weight, width> weights(const Arguments& a, const Position& at, int z, int y, int x) {
    return load_vec<width>(${args.constant(weights, weight)} + ((z * taps_y + y) * taps_x + x) * ${String(channels)} + at.channel);
  }
  TW_DEVICE static Vec<Accumulator, width> store(const Arguments& a, const Position& at, int r,
                                                 const Vec<Accumulator, width>& sums) {
    Vec<Accumulator, width> stored{};
    if (at.x + r >= ${out('x')}) return stored;
    constexpr int part = Result::width < width ? Result::width : width;
#pragma unroll
    for (int i = 0; i < width; i += part) {
      Vec<${accumulator}, part> some;
#pragma unroll
      for (int k = 0; k < part; ++k) some.v[k] = sums.v[i + k];
      const auto values = Result::template store<part>(a, 0, at.row + r, at.channel + i, some,
                                                       Result::template load<part>(a, 0, at.row + r, at.channel + i));
#pragma unroll
      for (int k = 0; k < part; ++k) stored.v[i + k] = convert<Accumulator>(values.v[k]);
    }
    return stored;
  }
};`;
  return { text, width, vectors, runs };
}

/** The weights with the channels innermost. */
function tapsFirst(group: GroupView, input: number): Tensor {
  const tensor = constantOf(group.node.inputs[input])!;
  const { kernel } = geometryOf(group);
  const problem = problemOf(group);
  const plain: Problem = { ...problem, batch: [], depth: kernel };
  const operand = {
    ...problem.right,
    axes: (view: MemoryView) => ({ batch: [], own: [view.strides[0]!], depth: view.strides.slice(2), windows: [] }),
  };
  return packConstant(tensor, operand, plain, [tensor.dims[0]!], { inner: 'own', multiple: 1 })!.tensor;
}
