/** The text of an excitation (native/cuda/kernels/excitation.cuh): where it reads, its weights, and its maps. */

import {
  anchorArg,
  type Dim,
  dtypeInfo,
  type EmitContext,
  type GroupView,
  memo,
  type MemoryView,
  mulDims,
  productOf,
  provablyDivisible,
  Tensor,
} from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import type { Launch } from '../../launch/launch-step.js';
import { printScalars } from '../../print/scalars.js';
import { cxxType } from '../../print/types.js';
import { index, indexType } from '../../print/views.js';
import { dtypeOf } from '../operands.js';
import { packDown, packUp } from './pack.js';
import type { ExcitationProblem, Layer } from './problem.js';

/** How an excitation is shared among the blocks of an image. */
export interface Shape {
  readonly parts: number;
  readonly threads: number;
}

/** Sizes that the kernel and its launch must agree on. */
export interface Plan extends Shape {
  /** Elements of a row of the first weights. */
  readonly pitch: number;
  /** Hidden values and channels of a part. */
  readonly rows: number;
  readonly slice: number;
  readonly staged: boolean;
  readonly sharedBytes: number;
}

const copyBytes = 16;
const warp = 32;
/** Of weights, for each block; beyond it they are read where they lie. */
const mostStagedBytes = 64 * 1024;

const wholeCopies = (bytes: number): number => Math.ceil(bytes / copyBytes) * copyBytes;

/** Shared memory for the sums of pixels, as PixelSums lays it out. */
export function pixelSumBytes(channels: number, width: number, threads: number): number {
  const vectors = channels / width;
  return wholeCopies(Math.floor(threads / Math.min(vectors, threads)) * channels * 4);
}

/** @param width channels of one load of the image */
export function planOf({ channels, hidden, down }: ExcitationProblem, shape: Shape, width: number): Plan {
  const { parts, threads } = shape;
  const size = dtypeInfo(down.weights.dtype).bits / 8;
  const perCopy = copyBytes / size;
  const pitch = wholeCopies(channels * size) / size;
  const rows = Math.ceil(hidden / parts);
  const slice = Math.ceil(Math.ceil(channels / parts) / perCopy) * perCopy;
  const weightBytes = wholeCopies(rows * pitch * size) + wholeCopies(hidden * slice * size);
  const staged = weightBytes <= mostStagedBytes;
  const pairs = slice / 2;
  const groups = pairs < threads ? Math.min(Math.floor(threads / pairs), hidden) : 1;
  const floatBytes = [pitch, hidden, threads / warp, groups * slice].reduce((sum, n) => sum + wholeCopies(n * 4), 0);
  const sharedBytes = pixelSumBytes(channels, width, threads) + floatBytes + (staged ? weightBytes : 0);
  return { ...shape, pitch, rows, slice, staged, sharedBytes };
}

/** Channels that one load of the image brings. */
export function widthOf(channels: number, view: MemoryView, bytes: number): number {
  let width = copyBytes / bytes;
  while (width > 1 && !(channels % width === 0 && provablyDivisible(view.offset, width))) width /= 2;
  return width;
}

/** `struct NAME`: the image that an operand holds, channels innermost. */
export function printImage(
  name: string,
  pointer: string,
  view: MemoryView,
  width: number,
  type: string,
  args: Arguments,
): string {
  const pixels = productOf(view.dims.slice(2));
  return printPixels(name, pointer, pixels, view.dims[1] as number, width, type, indexType(view), args);
}

/** `struct NAME`: rows of sums in scratch memory, so many to an image. */
export function printSums(name: string, pointer: string, parts: Dim, channels: number, args: Arguments): string {
  return printPixels(name, pointer, parts, channels, sumWidth(channels), 'f32', 'i64', args);
}

/** Channels of one load of sums. */
export function sumWidth(channels: number): number {
  return [4, 2, 1].find((w) => channels % w === 0)!;
}

function printPixels(
  name: string,
  pointer: string,
  pixels: Dim,
  channels: number,
  width: number,
  type: string,
  number: string,
  args: Arguments,
): string {
  return [
    `struct ${name} {`,
    `  using Element = ${type};`,
    `  static constexpr int width = ${String(width)};`,
    `  TW_DEVICE static i32 pixels(const Arguments& a) { return ${args.dim(pixels)}; }`,
    '  TW_DEVICE static Vec<Element, width> load(const Arguments& a, i32 image, i32 pixel, i32 channel) {',
    `    const ${number} at = (static_cast<${number}>(image) * pixels(a) + pixel) * ${String(channels)} + channel;`,
    `    return load_vec<width>(${pointer} + at);`,
    '  }',
    '};',
  ].join('\n');
}

/** `struct Excitation`, which reads `image`, a type. */
export function printExcitation(
  problem: ExcitationProblem,
  plan: Plan,
  image: string,
  output: number,
  context: EmitContext,
  args: Arguments,
): string {
  const { mean, down, up, channels, hidden } = problem;
  const { parts, rows, pitch, slice } = plan;
  const weight = cxxType(down.weights.dtype);
  const out = cxxType(dtypeOf(up.group.outputs[0])!);
  const view = context.outputView(output)!;
  const at = index(view, ['image', 'channel', ...view.dims.slice(2).map(() => '0')], args);
  const mapped = (group: GroupView, read: string, then: (value: string) => string): string[] => {
    const { statements, results } = printScalars(group.expressions(), (arg) => (arg === anchorArg(group) ? read : '0'));
    return [...statements.split('\n').map((l) => `    ${l}`), `    ${then(results[0]!)}`];
  };
  const biased = ({ bias }: Layer, at: string): string =>
    bias ? `(sum + convert<f32>(${args.constant(asBytes(bias), cxxType(bias.dtype))}[${at}]))` : 'sum';
  return [
    'struct Excitation {',
    `  using Weight = ${weight};`,
    `  using Image = ::${image};`,
    `  static constexpr int channels = ${String(channels)}, hidden = ${String(hidden)}, down_pitch = ${String(pitch)};`,
    `  static constexpr int rows = ${String(rows)}, slice = ${String(slice)};`,
    `  static constexpr bool staged = ${String(plan.staged)};`,
    '  TW_DEVICE static const Weight* down(const Arguments& a, int part) {',
    `    return ${args.constant(packDown(down.weights, parts * rows, pitch), weight)} + part * ${String(rows * pitch)};`,
    '  }',
    '  TW_DEVICE static const Weight* up(const Arguments& a, int part) {',
    `    return ${args.constant(packUp(up.weights, parts, slice), weight)} + part * ${String(hidden * slice)};`,
    '  }',
    '  TW_DEVICE static f32 mean(const Arguments& a, f32 sum) {',
    ...mapped(mean, 'sum', (value) => `return ${value};`),
    '  }',
    '  TW_DEVICE static f32 inner(const Arguments& a, i32 j, f32 sum) {',
    ...mapped(down.group, biased(down, 'j'), (value) => `return ${value};`),
    '  }',
    '  TW_DEVICE static void store(const Arguments& a, i32 image, i32 channel, f32 sum) {',
    ...mapped(
      up.group,
      biased(up, 'channel'),
      (value) => `${args.output(output, out)}[${at}] = convert<${out}>(${value});`,
    ),
    '  }',
    '};',
  ].join('\n');
}

/** The same constant every time, so that it is stored once. */
const asBytes = memo((tensor: Tensor) => new Tensor('uint8', tensor.bytes, [tensor.bytes.length]));

/** The kernel, `excite`. */
export function printExcite({ parts, threads }: Plan): string {
  return `
extern "C" __global__ void __launch_bounds__(${String(threads)}) excite(const __grid_constant__ Arguments a) {
  Excite<Excitation, ${String(parts)}, ${String(threads)}>::run(a);
}`;
}

export function exciteLaunch({ dims }: ExcitationProblem, { parts, threads, sharedBytes }: Plan): Launch {
  return {
    function: 'excite',
    grid: [mulDims(dims[0]!, parts), 1, 1],
    block: [threads, 1, 1],
    sharedBytes,
    ...(parts > 1 && { cluster: [parts, 1, 1] as const }),
  };
}

/** Scratch memory for so many rows of sums of every image. */
export function sumBytes({ dims, channels }: ExcitationProblem, rows: Dim): Dim {
  return productOf([dims[0]!, rows, channels * 4]);
}
