/** The text of the kernel of pooled stems. */

import {
  ceilDivDims,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  productOf,
  provablyDivisible,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { cxxType } from '../../print/types.js';
import { index, indexType, isAligned } from '../../print/views.js';
import { problemOf } from '../contraction/group.js';
import { printNumbers } from '../contraction/image-members.js';
import { printResult } from '../contraction/result.js';
import { denseView } from '../dense-view.js';
import { dtypeOf } from '../operands.js';
import { printStem } from './emit.js';
import { imageOf, plainGroup } from './image.js';
import { loadsOf } from './lines.js';
import type { PooledStem } from './pooled.js';
import {
  pooledBegins,
  pooledBytes,
  pooledExtents,
  pooledResident,
  pooledThreads,
  type PooledTile,
} from './pooled-tiles.js';

export function emitPooledStem(
  group: GroupView,
  p: PooledStem,
  tile: PooledTile,
  context: EmitContext,
): Promise<EmittedStep> {
  const args = new Arguments();
  const { stem, geometry: g, out } = p;
  const { warpsX, warpsY, warpsN, rows, passes, columns, warpgroups } = tile;
  const list = [warpsX, warpsY, warpsN, rows, passes, columns].map(String).join(', ');
  const loads = loadsOf(g, pooledBegins(tile, p), context.view(imageOf(stem)!.input));
  const { x, y } = pooledExtents(tile, p);
  const threads = pooledThreads(tile);
  const bounds = `${String(threads)}, ${String(pooledResident(tile, p, loads))}`;
  const blocks = productOf([ceilDivDims(out[3]!, x), ceilDivDims(out[2]!, y), out[0]!]);
  const result = printComputed(p, context, args);
  const products = warpgroups === 1 ? 'WarpgroupProducts' : 'WarpProducts';
  return launchStep({
    uses: [warpgroups === 1 ? 'stem_pool_wgmma' : 'stem_pool'],
    holes: [
      ...(warpgroups === 1
        ? [`TW_USE_WGMMA(${cxxType(dtypeOf(stem.anchor!.inputs[0])!)}, ${String(columns * 8)})`]
        : []),
      printStem(stem, g, { loads, order: warpgroups === 1 ? 'warpgroups' : 'lanes', result }, context, args),
      printPool(group, p, context, args),
    ].join('\n'),
    text: `
extern "C" __global__ void __launch_bounds__(${bounds}) stem(const __grid_constant__ Arguments a) {
  stem_pool_block<${products}, Stem, Pool, ${list}>(a);
}`,
    arguments: args,
    launches: [
      {
        function: 'stem',
        grid: [blocks, 1, 1],
        block: [threads, 1, 1],
        sharedBytes: pooledBytes(tile, p, loads),
      },
    ],
  });
}

/** `struct Result` of the convolution, which is not stored. */
function printComputed({ stem, geometry }: PooledStem, context: EmitContext, args: Arguments): string {
  const group = plainGroup(stem);
  const view = (input: number): MemoryView => context.view(input)!;
  const output = denseView(geometry.out, true);
  const problem = problemOf(group);
  return printResult({ group, problem, view, output, accumulator: 'f32', stored: false }, args).text;
}

function printPool(group: GroupView, p: PooledStem, context: EmitContext, args: Arguments): string {
  const type = cxxType(dtypeOf(group.outputs[0])!);
  const view = context.outputView(0)!;
  const number = indexType(view);
  const at = index(
    view,
    ['n', 'c', 'y', 'x'].map((name) => `${number}(${name})`),
    args,
  );
  let width = view.strides[1] === 1 ? 8 : 1;
  while (width > 1 && !(provablyDivisible(view.dims[1]!, width) && isAligned(view, 1, width))) width /= 2;
  const numbers = {
    taps_y: p.kernel[0],
    taps_x: p.kernel[1],
    stride_y: p.strideY,
    pad_y: p.pads[0],
    pad_x: p.pads[1],
    width,
  };
  return `
struct Pool {
  using Element = ${type};
${printNumbers(numbers)}
  TW_DEVICE static i32 out_y([[maybe_unused]] const Arguments& a) { return ${args.dim(p.out[2]!)}; }
  TW_DEVICE static i32 out_x([[maybe_unused]] const Arguments& a) { return ${args.dim(p.out[3]!)}; }
  TW_DEVICE static ${type}* at(const Arguments& a, i32 n, i32 c, i32 y, i32 x) {
    return ${args.output(0, type)} + ${at};
  }
};`;
}
