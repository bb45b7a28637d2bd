/** The stem kernel's text. */

import {
  ceilDivDims,
  constantOf,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { cxxType } from '../../print/types.js';
import { type Geometry, geometryOf } from '../contraction/conv-problem.js';
import { problemOf } from '../contraction/group.js';
import { printExtents, printNumbers } from '../contraction/image-members.js';
import { printResult } from '../contraction/result.js';
import { dtypeOf } from '../operands.js';
import { imageOf, plainGroup, printPixels } from './image.js';
import { type Loads, loadsOf } from './lines.js';
import { stemBegins, stemBytes, stemThreads, type StemTile } from './tiles.js';
import { type FragmentOrder, fragments } from './weights.js';

export function emitStem(group: GroupView, tile: StemTile, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const g = geometryOf(group);
  const { warpsX, warpsY, warpsN, rows, columns } = tile;
  const list = [warpsX, warpsY, warpsN, rows, columns].map(String).join(', ');
  const threads = stemThreads(tile);
  const loads = loadsOf(g, stemBegins(tile, g), context.view(imageOf(group)!.input));
  const blocks = productOf([ceilDivDims(g.out[3]!, warpsX * 16), ceilDivDims(g.out[2]!, warpsY * rows), g.out[0]!]);
  return launchStep({
    uses: ['stem'],
    holes: printStem(group, g, { loads, order: 'lanes', result: printStored(group, context, args) }, context, args),
    text: `
extern "C" __global__ void __launch_bounds__(${String(threads)}) stem(const __grid_constant__ Arguments a) {
  stem_block<Stem, ${list}>(a);
}`,
    arguments: args,
    launches: [
      { function: 'stem', grid: [blocks, 1, 1], block: [threads, 1, 1], sharedBytes: stemBytes(tile, g, loads) },
    ],
  });
}

function printStored(group: GroupView, context: EmitContext, args: Arguments): string {
  const plain = plainGroup(group);
  const view = (input: number): MemoryView => context.view(input)!;
  const output = context.outputView(0)!;
  return printResult({ group: plain, problem: problemOf(plain), view, output, accumulator: 'f32' }, args).text;
}

export interface StemParts {
  readonly loads: Loads;
  readonly order: FragmentOrder;
  /** `struct Result`. */
  readonly result: string;
}

/** `struct Result` and `struct Stem`. */
export function printStem(
  group: GroupView,
  g: Geometry,
  { loads, order, result }: StemParts,
  context: EmitContext,
  args: Arguments,
): string {
  const weights = constantOf(group.node.inputs[group.anchorInputs[1]!])!;
  const numbers = {
    channels: g.x[1] as number,
    taps_y: g.kernel[0]!,
    taps_x: g.kernel[1]!,
    dilation_y: g.dilations[0]!,
    stride_y: g.strides[0]!,
    stride_x: g.strides[1]!,
    outputs: g.w[0] as number,
    ...loads,
  };
  return `
struct Arguments;
${result}
struct Stem {
  using Element = ${cxxType(dtypeOf(group.anchor!.inputs[0])!)};
  using Result = ::Result;
${printNumbers(numbers)}
${printExtents(g, args)}
${printPixels(group, context, args)}
  TW_DEVICE static const u32* weights(const Arguments& a) {
    return ${args.constant(fragments(weights, g, loads.ahead % 2, order), 'u32')};
  }
};`;
}
