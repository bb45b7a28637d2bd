/** The text of a block of a mobile network (native/cuda/kernels/inverted_residual.cuh), and its launch. */

import {
  anchorArg,
  ceilDivDims,
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  invariant,
  type MemoryView,
  mulDims,
  productOf,
  provablyDivisible,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { printScalars } from '../../print/scalars.js';
import { cxxType } from '../../print/types.js';
import { indexType } from '../../print/views.js';
import { pixelAxes, ungrouped } from '../contraction/conv-problem.js';
import { printExtents, printNumbers } from '../contraction/image-members.js';
import { printResult } from '../contraction/result.js';
import { channelWidth } from '../depthwise/result.js';
import { packWeights } from './pack.js';
import type { Layer, ResidualProblem } from './problem.js';
import { layoutOf, residentByRegisters, type ResidualShape } from './shape.js';

export function emitResidual(
  chain: GroupView,
  problem: ResidualProblem,
  shape: ResidualShape,
  context: EmitContext,
): Promise<EmittedStep> {
  const args = new Arguments();
  const { holes, text, launch } = printResidual(chain, problem, shape, undefined, context, args);
  return launchStep({ uses: ['inverted_residual'], holes, text, arguments: args, launches: [launch] });
}

/** Tiles of an image, each of which makes a row of sums where there is no projection. */
export function tilesOf({ filter }: ResidualProblem, { tileY, tileX }: ResidualShape): Dim {
  const { out } = filter.geometry;
  return mulDims(ceilDivDims(out[2]!, tileY), ceilDivDims(out[3]!, tileX));
}

/** @param sums C++ pointer to where sums over pixels go, where there is no projection */
export function printResidual(
  chain: GroupView,
  problem: ResidualProblem,
  shape: ResidualShape,
  sums: string | undefined,
  context: EmitContext,
  args: Arguments,
): { readonly holes: string; readonly text: string; readonly launch: Launch } {
  const layout = layoutOf(problem, shape);
  const { tileY, tileX, warps, warpsDown, rows, columns, run, stages, splits } = shape;
  const threads = warps * 32;
  const list = [tileY, tileX, warps, warpsDown, rows, columns, run, stages, splits].join(', ');
  const resident = residentByRegisters(shape, layout);
  return {
    holes: printBlock(chain, problem, shape, sums, context, args),
    text: `
extern "C" __global__ void __launch_bounds__(${String(threads)}, ${String(resident)}) inverted_residual(const __grid_constant__ Arguments a) {
  InvertedResidual<Block, ${list}>::run(a);
}`,
    launch: {
      function: 'inverted_residual',
      grid: [productOf([splits, tilesOf(problem, shape), problem.filter.geometry.out[0]!]), 1, 1],
      block: [threads, 1, 1],
      sharedBytes: layout.sharedBytes,
      ...(splits > 1 && problem.project && { cluster: [splits, 1, 1] as const }),
    },
  };
}

function printBlock(
  chain: GroupView,
  problem: ResidualProblem,
  shape: ResidualShape,
  sums: string | undefined,
  context: EmitContext,
  args: Arguments,
): string {
  const { expand, filter, project, dtype, inputs, outputs } = problem;
  const layout = layoutOf(problem, shape);
  const { kernel, strides, dilations } = filter.geometry;
  const first = expand ?? filter;
  const source = first.group.anchorInputs[0]!;
  const type = cxxType(dtype);
  const numbers = {
    inputs,
    outputs,
    ...{ chunk: shape.chunk, chunks: layout.chunks, pixels: layout.pixels },
    ...{ taps_y: kernel[0]!, taps_x: kernel[1]!, stride_y: strides[0]!, stride_x: strides[1]! },
    ...{ dilation_y: dilations[0]!, dilation_x: dilations[1]! },
    width: channelWidth(first.group, first.geometry, context),
  };
  const weights = args.constant(packWeights(chain.node, problem, shape), 'u8');
  const pixel = printPixel('pixel', `const ${type}*`, args.input(source, type), context.view(source)!, args);
  const result = sums === undefined ? [] : printUnprojected(type, sums, context, args);
  return [
    'struct Arguments;',
    ...(project ? [printProjected(project, context, args)] : []),
    'struct Block {',
    `  using Element = ${type};`,
    ...(project ? ['  using Result = ::Result;'] : []),
    `  static constexpr bool expands = ${String(expand !== undefined)}, projects = ${String(project !== undefined)};`,
    printNumbers(numbers),
    printExtents(filter.geometry, args),
    pixel,
    `  TW_DEVICE static const u8* weights(const Arguments& a) { return ${weights}; }`,
    ...result,
    ...(expand ? [printMapped('expanded', expand.group)] : []),
    printMapped('filtered', filter.group),
    '};',
  ].join('\n');
}

/** A function that points to the channels of a pixel. */
function printPixel(name: string, type: string, pointer: string, view: MemoryView, args: Arguments): string {
  const index = indexType(view);
  const at = ['n', 'y', 'x'].map((axis, i) => `${index}(${axis}) * ${args.dim(view.strides[i === 0 ? 0 : i + 1]!)}`);
  return [
    `  TW_DEVICE static ${type} ${name}(const Arguments& a, i32 n, i32 y, i32 x) {`,
    `    return ${pointer} + ${at.join(' + ')};`,
    '  }',
  ].join('\n');
}

/** Where what is filtered goes, and its sums. */
function printUnprojected(type: string, sums: string, context: EmitContext, args: Arguments): string[] {
  const view = context.outputView(0)!;
  invariant(view.strides[1] === 1 && provablyDivisible(view.offset, 8), 'a dense image of vectors is aligned');
  return [
    printPixel('result', `${type}*`, args.output(0, type), view, args),
    `  TW_DEVICE static f32* sums(const Arguments& a) { return ${sums}; }`,
  ];
}

/** What becomes of the sums of a convolution within the block. */
function printMapped(name: string, group: GroupView): string {
  const { statements, results } = printScalars(group.expressions(), (arg) => (arg === anchorArg(group) ? 'sum' : '0'));
  return [
    `  TW_DEVICE static f32 ${name}(f32 sum) {`,
    ...statements.split('\n').map((l) => `    ${l}`),
    `    return ${results[0]!};`,
    '  }',
  ].join('\n');
}

/** `struct Result`, whose rows are output pixels and whose columns are channels. */
function printProjected({ group, geometry }: Layer, context: EmitContext, args: Arguments): string {
  const channels = geometry.w[0] as number;
  const bias = group.anchorInputs[2];
  const problem = {
    batch: [],
    rows: [geometry.out[0]!, ...geometry.out.slice(2)],
    columns: [channels],
    output: ungrouped(pixelAxes(2, channels)),
    ...(bias !== undefined && { bias: { input: bias, axis: 1 } }),
  };
  const view = (input: number): MemoryView => context.view(input)!;
  return printResult({ group, problem, view, output: context.outputView(0)!, accumulator: 'f32' }, args).text;
}
