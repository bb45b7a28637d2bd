/** The stem kernel's text, and its weights as the fragments that lanes load. */

import {
  ceilDivDims,
  constantOf,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  productOf,
  Tensor,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { cxxType } from '../../print/types.js';
import { type Geometry, geometryOf } from '../contraction/conv-problem.js';
import { problemOf } from '../contraction/group.js';
import { printExtents, printNumbers } from '../contraction/image-members.js';
import { printResult } from '../contraction/result.js';
import { dtypeOf } from '../operands.js';
import { plainGroup, printPixel, runWords } from './image.js';
import { columnPairs, stemBytes, stemThreads, type StemTile, stepsOf } from './tiles.js';

export function emitStem(group: GroupView, tile: StemTile, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const g = geometryOf(group);
  const { warpsX, warpsY, warpsN, rows, columns } = tile;
  const list = [warpsX, warpsY, warpsN, rows, columns].map(String).join(', ');
  const threads = stemThreads(tile);
  const blocks = productOf([ceilDivDims(g.out[3]!, warpsX * 16), ceilDivDims(g.out[2]!, warpsY * rows), g.out[0]!]);
  return launchStep({
    uses: ['stem'],
    holes: printStem(group, g, context, args),
    text: `
extern "C" __global__ void __launch_bounds__(${String(threads)}) stem(const __grid_constant__ Arguments a) {
  stem_block<Stem, ${list}>(a);
}`,
    arguments: args,
    launches: [{ function: 'stem', grid: [blocks, 1, 1], block: [threads, 1, 1], sharedBytes: stemBytes(tile, g) }],
  });
}

function printStem(group: GroupView, g: Geometry, context: EmitContext, args: Arguments): string {
  const plain = plainGroup(group);
  const view = (input: number): MemoryView => context.view(input)!;
  const problem = problemOf(plain);
  const result = printResult(
    { group: plain, problem, view, output: context.outputView(0)!, accumulator: 'f32' },
    args,
  ).text;
  const weights = constantOf(group.node.inputs[group.anchorInputs[1]!])!;
  const numbers = {
    channels: g.x[1] as number,
    taps_y: g.kernel[0]!,
    taps_x: g.kernel[1]!,
    dilation_y: g.dilations[0]!,
    stride_y: g.strides[0]!,
    stride_x: g.strides[1]!,
    outputs: g.w[0] as number,
  };
  return `
struct Arguments;
${result}
struct Stem {
  using Element = ${cxxType(dtypeOf(group.anchor!.inputs[0])!)};
  using Result = ::Result;
${printNumbers(numbers)}
${printExtents(g, args)}
${printPixel(group, context, args)}
  TW_DEVICE static const u32* weights(const Arguments& a) { return ${args.constant(fragments(weights, g), 'u32')}; }
};`;
}

const cache = new WeakMap<Tensor, Tensor>();

/**
 * Weights [outputs, channels, rows, taps] as 16-bit words [step, pair of eight columns, lane, 4, 2]. Of lane 4 · g + t
 * the words are pairs of taps t of both halves of the step, for column g of both eights. The depth is runs
 * [row, channel, taps and zeros]. Of 32 output channels, channel 8 · t + 2 · i + e is column 2 · t + e of the i-th eight.
 */
function fragments(weights: Tensor, g: Geometry): Tensor {
  const known = cache.get(weights);
  if (known) return known;
  const [outputs, channels, rows, taps] = weights.dims as readonly [number, number, number, number];
  const run = runWords(taps);
  const pairs = columnPairs(g);
  const from = new DataView(weights.bytes.buffer, weights.bytes.byteOffset, weights.bytes.byteLength);
  const bytes = new Uint8Array(stepsOf(g) * pairs * 32 * 16);
  const to = new DataView(bytes.buffer);
  for (let m = 0; m < outputs; m++) {
    const column = (m & ~31) + ((m % 8) >> 1) * 8 + ((m % 32) >> 3) * 2 + (m % 2);
    for (let c = 0; c < channels; c++)
      for (let r = 0; r < rows; r++)
        for (let x = 0; x < taps; x++) {
          const word = (r * channels + c) * run + Math.floor(x / 2);
          const step = Math.floor(word / 8);
          const half = Math.floor(word / 4) % 2;
          const lane = (column % 8) * 4 + (word % 4);
          const slot = (Math.floor(column / 8) % 2) * 2 + half;
          const at = (((step * pairs + Math.floor(column / 16)) * 32 + lane) * 4 + slot) * 4 + (x % 2) * 2;
          to.setUint16(at, from.getUint16((((m * channels + c) * rows + r) * taps + x) * 2, true), true);
        }
  }
  const table = Tensor.fromBytes('uint8', bytes, [bytes.length]);
  cache.set(weights, table);
  return table;
}
