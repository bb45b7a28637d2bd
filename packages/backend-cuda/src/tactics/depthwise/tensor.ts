/** The depthwise kernel on tensor cores: its text, and its weights as the bands that it multiplies with. */

import {
  ceilDivDims,
  constantOf,
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  memoByKind,
  mulDims,
  productOf,
  Tensor,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { cxxType } from '../../print/types.js';
import { indexType } from '../../print/views.js';
import { type Geometry, geometryOf } from '../contraction/conv-problem.js';
import { printExtents, printNumbers } from '../contraction/image-members.js';
import { dtypeOf } from '../operands.js';
import { printChannelResult } from './result.js';
import { bandWords, tileBytes, type TileShape, tileThreads, vectorChannels } from './tiles.js';

/** Outputs of a window along x. */
const window = 8;

export function emitTiles(group: GroupView, tile: TileShape, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const { holes, text, launch } = printTiles(group, tile, undefined, context, args);
  return launchStep({ uses: ['depthwise_tensor'], holes, text, arguments: args, launches: [launch] });
}

/** Sums over pixels of what a tile stores, for each image: rows of all channels. */
export function pooledRows(group: GroupView, { windowsX, windows, patches }: TileShape): Dim {
  const { out } = geometryOf(group);
  const across = ceilDivDims(out[3]!, windowsX * windows * window);
  const down = ceilDivDims(out[2]!, patches * window);
  return mulDims(mulDims(across, down), windowsX * patches);
}

/** @param pool C++ pointer to where the sums over pixels of what is stored go; undefined: they are not wanted */
export function printTiles(
  group: GroupView,
  tile: TileShape,
  pool: string | undefined,
  context: EmitContext,
  args: Arguments,
): { readonly holes: string; readonly text: string; readonly launch: Launch } {
  const g = geometryOf(group);
  const { windowsX, windows, patches, images, vectors } = tile;
  const list = [windowsX, windows, patches, images, vectors].map(String).join(', ');
  const threads = tileThreads(tile);
  const blocks = productOf([
    Math.ceil((g.x[1] as number) / (vectors * vectorChannels)),
    ceilDivDims(g.out[3]!, windowsX * windows * window),
    ceilDivDims(g.out[2]!, patches * window),
    ceilDivDims(g.out[0]!, images),
  ]);
  return {
    holes: printImage(group, g, pool, context, args),
    text: `
extern "C" __global__ void __launch_bounds__(${String(threads)}, ${String(residentBlocks(g, threads))}) depthwise(const __grid_constant__ Arguments a) {
  depthwise_tensor<Image, ${list}>(a);
}`,
    launch: { function: 'depthwise', grid: [blocks, 1, 1], block: [threads, 1, 1], sharedBytes: tileBytes(tile, g) },
  };
}

function printImage(
  group: GroupView,
  g: Geometry,
  pool: string | undefined,
  context: EmitContext,
  args: Arguments,
): string {
  const [xInput, wInput] = group.anchorInputs as [number, number];
  const x = context.view(xInput)!;
  const type = cxxType(dtypeOf(group.node.inputs[xInput])!);
  const index = indexType(x);
  const at = ['n', 'y', 'x'].map((name, i) => `${index}(${name}) * ${args.dim(x.strides[i === 0 ? 0 : i + 1]!)}`);
  const bands = args.constant(bandTable(constantOf(group.node.inputs[wInput])!, g), 'u32');
  const numbers = {
    channels: g.x[1] as number,
    taps_y: g.kernel[0]!,
    stride_y: g.strides[0]!,
    dilation_y: g.dilations[0]!,
    stride_x: g.strides[1]!,
    span_x: (g.kernel[1]! - 1) * g.dilations[1]! + 1,
  };
  return `
struct Arguments;
${printChannelResult(group, g, 'f32', context, args)}
struct Image {
  using Element = ${type};
  using Result = ::Result;
${printNumbers(numbers)}
${printExtents(g, args)}
  TW_DEVICE static const ${type}* pixel(const Arguments& a, i32 n, i32 y, i32 x) {
    return ${args.input(xInput, type)} + ${at.join(' + ')};
  }
  TW_DEVICE static const u32* table(const Arguments& a) { return ${bands}; }
  static constexpr bool pools = ${String(pool !== undefined)};
  ${pool === undefined ? '' : printPool(pool)}
};`;
}

function printPool(pointer: string): string {
  return `TW_DEVICE static void pool(const Arguments& a, i32 n, i32 slot, i32 slots, i32 channel, const Vec<f32, 8>& sums) {
    f32* const to = ${pointer} + (static_cast<i64>(n) * slots + slot) * channels + channel;
    store_vec(to, Vec<f32, 4>{{sums.v[0], sums.v[1], sums.v[2], sums.v[3]}});
    store_vec(to + 4, Vec<f32, 4>{{sums.v[4], sums.v[5], sums.v[6], sums.v[7]}});
  }`;
}

/** Blocks that the registers of a multiprocessor should hold: the taps of a channel lie in them, as sums do. */
function residentBlocks(g: Geometry, threads: number): number {
  const taps = g.kernel[0]! * (g.strides[1]! + 1);
  return Math.max(1, Math.floor((taps > 21 ? 384 : 512) / threads));
}

const tablesOf = memoByKind<Tensor, Tensor>();

/**
 * Words [channel, filter row, bandWords] of pairs of 16-bit taps. The band e has tap t at 7 · stride + t · dilation;
 * word j is e[2j], e[2j + 1], and at a stride of one word 12 + j is e[2j + 1], e[2j + 2].
 */
function bandTable(weights: Tensor, g: Geometry): Tensor {
  const [stride, dilation] = [g.strides[1]!, g.dilations[1]!];
  return tablesOf(weights, `${String(stride)} ${String(dilation)}`, () => makeBandTable(weights, g));
}

function makeBandTable(weights: Tensor, g: Geometry): Tensor {
  const stride = g.strides[1]!;
  const dilation = g.dilations[1]!;
  const [channels, rows, taps] = [weights.dims[0]!, g.kernel[0]!, g.kernel[1]!];
  const words = bandWords(stride);
  const evens = stride === 1 ? words / 2 : words;
  const from = new DataView(weights.bytes.buffer, weights.bytes.byteOffset, weights.bytes.byteLength);
  const bytes = new Uint8Array(channels * rows * words * 4);
  const to = new DataView(bytes.buffer);
  const first = (window - 1) * stride;
  for (let row = 0; row < channels * rows; row++)
    for (let t = 0; t < taps; t++) {
      const i = first + t * dilation;
      const bits = from.getUint16((row * taps + t) * 2, true);
      const put = (half: number): void => {
        to.setUint16(row * words * 4 + half * 2, bits, true);
      };
      put(i);
      if (stride === 1 && i > 0) put(evens * 2 + i - 1);
    }
  return Tensor.fromBytes('uint8', bytes, [bytes.length]);
}
