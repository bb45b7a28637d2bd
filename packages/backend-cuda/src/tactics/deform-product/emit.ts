/** The text of deformConv's product kernels. */

import {
  ceilDivDims,
  type Dim,
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
import { index, indexType } from '../../print/views.js';
import { printExtents, printNumbers } from '../contraction/image-members.js';
import { printResult } from '../contraction/result.js';
import { dtypeOf } from '../operands.js';
import { deformProblem, type DeformProblem, powerDividing } from './problem.js';
import { type DeformTile, isHalf, residentBlocks, tileBytes, tileThreads } from './tiles.js';
import { chunkTable, pitchOf, stepWeights } from './weights.js';

const addThreads = 256;

export function emitDeform(group: GroupView, t: DeformTile, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const problem = deformProblem(group);
  const { groups, columns, depth } = problem;
  const threads = tileThreads(problem, t);
  const rows = productOf(problem.result.rows);
  const printed = printDeform(group, problem, t, context, args);
  const kernel = isHalf(problem) ? 'deform_conv_tensor' : 'deform_conv_simt';
  const list = [t.rows, t.columns, depth, t.down, t.across].map(String).join(', ');
  const tiles = productOf([groups, ceilDivDims(rows, t.rows), Math.ceil(columns / t.columns)]);
  const add = `
extern "C" __global__ void __launch_bounds__(${String(addThreads)}) add(const __grid_constant__ Arguments a) {
  add_splits<Deform, ${String(addThreads)}>(a);
}`;
  const vectors = productOf([groups, rows, Math.ceil(columns / Math.min(4, printed.width))]);
  return launchStep({
    uses: ['deform_conv'],
    holes: printed.text,
    text: `
extern "C" __global__ void __launch_bounds__(${String(threads)}, ${String(residentBlocks(problem, t))}) deform(const __grid_constant__ Arguments a) {
  ${kernel}<Deform, ${list}>(a);
}
${t.splits > 1 ? add : ''}`,
    arguments: args,
    launches: [
      {
        function: 'deform',
        grid: [tiles, t.splits, 1],
        block: [threads, 1, 1],
        sharedBytes: tileBytes(problem, t),
      },
      ...(t.splits > 1
        ? [{ function: 'add', grid: [ceilDivDims(vectors, addThreads), 1, 1], block: [addThreads, 1, 1] } as const]
        : []),
    ],
    ...(t.splits > 1 && { workspaceBytes: productOf([groups, rows, pitchOf(problem), t.splits * 4]) }),
  });
}

function printDeform(
  group: GroupView,
  problem: DeformProblem,
  t: DeformTile,
  context: EmitContext,
  args: Arguments,
): { readonly text: string; readonly width: number } {
  const { geometry: g, result: shape } = problem;
  const [xInput, , offsetInput, , maskInput] = group.anchorInputs;
  const view = (input: number): MemoryView => context.view(input)!;
  const element = cxxType(problem.dtype);
  const result = printResult({ group, problem: shape, view, output: context.outputView(0)!, accumulator: 'f32' }, args);
  const image = view(xInput!);
  const width = provablyDivisible(image.offset, problem.width) ? problem.width : 1;
  const extent = (name: string, d: Dim): string =>
    `  TW_DEVICE static i32 ${name}([[maybe_unused]] const Arguments& a) { return ${args.dim(d)}; }`;
  const numbers = {
    ...{ width: powerDividing(width, 8), channels: g.x[1] as number, chunks: problem.chunks[0]!.length },
    ...{ taps: g.kernel[0]! * g.kernel[1]!, taps_x: g.kernel[1]!, pitch: pitchOf(problem), splits: t.splits },
    ...{ stride_y: g.strides[0]!, stride_x: g.strides[1]!, dilation_y: g.dilations[0]!, dilation_x: g.dilations[1]! },
  };
  const partial = `  TW_DEVICE static f32* partial(const Arguments& a) { return ${t.splits > 1 ? args.workspace(0, 'f32') : 'nullptr'}; }`;
  const text = `
struct Arguments;
${result.text}
struct Deform {
  using Element = ${element};
  using Accumulator = f32;
  using Result = ::Result;
${printNumbers(numbers)}
${printExtents(g, args)}
${extent('rows', productOf(shape.rows))}
${extent('columns', problem.columns)}
${extent('batches', problem.groups)}
${partial}
  TW_DEVICE static const ${element}* image(const Arguments& a) { return ${args.input(xInput!, element)}; }
  TW_DEVICE static const i32* table(const Arguments& a) { return ${args.constant(chunkTable(problem), 'i32')}; }
  TW_DEVICE static const ${element}* weights(const Arguments& a) { return ${args.constant(stepWeights(problem), element)}; }
${printElement('shift', offsetInput!, group, context, args)}
${maskInput === undefined ? '  TW_DEVICE static f32 scale(const Arguments&, i32, i32, i32, i32) { return 1.0f; }' : printElement('scale', maskInput, group, context, args)}
};`;
  return { text, width: result.width };
}

/** `f32 NAME(a, n, at, y, x)`: an element of an operand. */
function printElement(name: string, input: number, group: GroupView, context: EmitContext, args: Arguments): string {
  const view = context.view(input)!;
  const type = cxxType(dtypeOf(group.node.inputs[input])!);
  const number = indexType(view);
  const at = index(
    view,
    ['n', 'at', 'y', 'x'].map((c) => `${number}(${c})`),
    args,
  );
  return `  TW_DEVICE static f32 ${name}(const Arguments& a, i32 n, i32 at, i32 y, i32 x) {
    return convert<f32>(${args.input(input, type)}[${at}]);
  }`;
}
