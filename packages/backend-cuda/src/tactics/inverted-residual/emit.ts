/** The text of a block of a mobile network (native/cuda/kernels/inverted_residual.cuh), and its launch. */

import {
  anchorArg,
  ceilDivDims,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
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
  const layout = layoutOf(problem, shape);
  const { tileY, tileX, warps, warpsDown, rows, columns, run, stages, splits } = shape;
  const { out } = problem.filter.geometry;
  const threads = warps * 32;
  const list = [tileY, tileX, warps, warpsDown, rows, columns, run, stages, splits].join(', ');
  const resident = residentByRegisters(shape, layout);
  return launchStep({
    uses: ['inverted_residual'],
    holes: printBlock(chain, problem, shape, context, args),
    text: `
extern "C" __global__ void __launch_bounds__(${String(threads)}, ${String(resident)}) inverted_residual(const __grid_constant__ Arguments a) {
  InvertedResidual<Block, ${list}>::run(a);
}`,
    arguments: args,
    launches: [
      {
        function: 'inverted_residual',
        grid: [productOf([splits, ceilDivDims(out[3]!, tileX), ceilDivDims(out[2]!, tileY), out[0]!]), 1, 1],
        block: [threads, 1, 1],
        sharedBytes: layout.sharedBytes,
        ...(splits > 1 && { cluster: [splits, 1, 1] as const }),
      },
    ],
  });
}

function printBlock(
  chain: GroupView,
  problem: ResidualProblem,
  shape: ResidualShape,
  context: EmitContext,
  args: Arguments,
): string {
  const { expand, filter, project, dtype, inputs, outputs } = problem;
  const layout = layoutOf(problem, shape);
  const { kernel, strides, dilations } = filter.geometry;
  const first = expand ?? filter;
  const source = first.group.anchorInputs[0]!;
  const x = context.view(source)!;
  const type = cxxType(dtype);
  const index = indexType(x);
  const at = ['n', 'y', 'x'].map((name, i) => `${index}(${name}) * ${args.dim(x.strides[i === 0 ? 0 : i + 1]!)}`);
  const numbers = {
    inputs,
    outputs,
    ...{ chunk: shape.chunk, chunks: layout.chunks, pixels: layout.pixels },
    ...{ taps_y: kernel[0]!, taps_x: kernel[1]!, stride_y: strides[0]!, stride_x: strides[1]! },
    ...{ dilation_y: dilations[0]!, dilation_x: dilations[1]! },
    width: channelWidth(first.group, first.geometry, context),
  };
  const weights = args.constant(packWeights(chain.node, problem, shape), 'u8');
  return `
struct Arguments;
${printProjected(project, context, args)}
struct Block {
  using Element = ${type};
  using Result = ::Result;
  static constexpr bool expands = ${String(expand !== undefined)};
${printNumbers(numbers)}
${printExtents(filter.geometry, args)}
  TW_DEVICE static const ${type}* pixel(const Arguments& a, i32 n, i32 y, i32 x) {
    return ${args.input(source, type)} + ${at.join(' + ')};
  }
  TW_DEVICE static const u8* weights(const Arguments& a) { return ${weights}; }
${expand ? printMapped('expanded', expand.group) : ''}
${printMapped('filtered', filter.group)}
};`;
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
