/** The step of a deformConv's product. */

import {
  addDims,
  ceilDivDims,
  type Dim,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  invariant,
  mulDims,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { cxxType } from '../../print/types.js';
import { printNumbers } from '../contraction/image-members.js';
import { deformProblem, type DeformProblem } from './problem.js';
import { type PrintedDeform, printDeform, printElement } from './print.js';
import { type DeformTile, isHalf, residentBlocks, tileBytes, tileThreads } from './tiles.js';
import { type WarpgroupDeformTile, warpgroupBytes, warpgroupThreads } from './warpgroups.js';
import {
  isKnown,
  type KnownDeform,
  packedElements,
  packedStepWeights,
  pitchOf,
  stepCount,
  stepWeights,
} from './weights.js';

/** Of the kernels that pack weights and add sums. */
const sideThreads = 256;

export function emitDeform(group: GroupView, t: DeformTile, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const problem = deformProblem(group);
  const threads = tileThreads(problem, t);
  const element = cxxType(problem.dtype);
  const known = isKnown(problem);
  const packedBytes = known ? 0 : Math.ceil((packedElements(problem) * dtypeInfo(problem.dtype).bits) / 8 / 256) * 256;
  const weights = known
    ? `  static constexpr bool constant = true;
  TW_DEVICE static const ${element}* weights(const Arguments& a) { return ${args.constant(stepWeights(problem), element)}; }`
    : printRunWeights(group, problem, context, args);
  const printed = printDeform(group, problem, { splits: t.splits, weights, sums: packedBytes }, context, args);
  const kernel = isHalf(problem) ? 'deform_conv_tensor' : 'deform_conv_simt';
  const list = [t.rows, t.columns, problem.depth, t.down, t.across].map(String).join(', ');
  const tiles = tileCount(problem, t.rows, t.columns);
  const pack = `
extern "C" __global__ void __launch_bounds__(${String(sideThreads)}) pack(const __grid_constant__ Arguments a) {
  deform_pack<Deform, ${String(problem.depth)}, ${String(sideThreads)}>(a);
}`;
  return withSplits(problem, t.splits, printed, args, {
    uses: 'deform_conv',
    text: `${known ? '' : pack}
extern "C" __global__ void __launch_bounds__(${String(threads)}, ${String(residentBlocks(problem, t))}) deform(const __grid_constant__ Arguments a) {
  ${kernel}<Deform, ${list}>(a);
}
`,
    launch: {
      function: 'deform',
      grid: [tiles, t.splits, 1],
      block: [threads, 1, 1],
      sharedBytes: tileBytes(problem, t),
    },
    ...(!known && { packedBytes }),
  });
}

/** Members of Deform for weights that only the run knows: they are packed into scratch memory. */
function printRunWeights(group: GroupView, problem: DeformProblem, context: EmitContext, args: Arguments): string {
  const element = cxxType(problem.dtype);
  const packed = args.workspace(0, element);
  const [outputs, channels] = problem.geometry.w as readonly number[];
  const numbers = {
    filters: problem.columns,
    own_filters: outputs! / problem.geometry.group,
    own_channels: channels!,
  };
  return `  static constexpr bool constant = false;
${printNumbers(numbers)}
  TW_DEVICE static const ${element}* weights(const Arguments& a) { return ${packed}; }
  TW_DEVICE static ${element}* packed(const Arguments& a) { return ${packed}; }
${printElement('weight', group.anchorInputs[1]!, group, context, args)}`;
}

/** By warpgroups, on a device that has them, of weights that are known. */
export function emitDeformWarpgroups(
  group: GroupView,
  t: WarpgroupDeformTile,
  context: EmitContext,
): Promise<EmittedStep> {
  const args = new Arguments();
  const problem = deformProblem(group);
  invariant(isKnown(problem), 'warpgroups sample for weights that are known');
  const threads = warpgroupThreads(t);
  const { shares, splits } = t;
  const parts = { splits, weights: printLoad(problem, t, args), sums: 0 };
  const printed = printDeform(group, problem, parts, context, args);
  const list = [t.rows / 64, t.columns, problem.depth, t.stages, shares].map(String).join(', ');
  return withSplits(problem, splits, printed, args, {
    uses: 'deform_conv_wgmma',
    holes: `TW_USE_WGMMA(${cxxType(problem.dtype)}, ${String(t.columns)})`,
    text: `
extern "C" __global__ void __launch_bounds__(${String(threads)}, 1) deform(const __grid_constant__ Arguments a) {
  deform_conv_wgmma<Deform, ${list}>(a);
}
`,
    launch: {
      function: 'deform',
      grid: [mulDims(tileCount(problem, t.rows * shares, t.columns), shares), splits, 1],
      block: [threads, 1, 1],
      sharedBytes: warpgroupBytes(problem, t),
      ...(shares > 1 && { cluster: [shares, 1, 1] as const }),
    },
  });
}

/** `load(a, shared, barrier, batch, column, step)` of native/cuda/kernels/deform/warpgroups.cuh. */
function printLoad(problem: KnownDeform, { columns, shares }: WarpgroupDeformTile, args: Arguments): string {
  const { tensor, columns: padded } = packedStepWeights(problem);
  const { depth, groups } = problem;
  const steps = stepCount(problem);
  const map = args.tensorMap({
    operand: { kind: 'constant', tensor },
    elementBytes: 2,
    dims: [depth, padded, groups * steps],
    strides: [2 * depth, 2 * depth * padded],
    box: [depth, columns / shares, 1],
    swizzle: (2 * depth) as 32 | 64 | 128,
  });
  const all = String(2 ** shares - 1);
  const [name, blocks] = shares > 1 ? ['tma_load_multicast', ` ${all},`] : ['tma_load', ''];
  return `  TW_DEVICE static void load(const Arguments& a, void* shared, u64* barrier, i32 batch, i32 column, i32 step) {
    ${name}(shared, &${map}, barrier, cache_normal,${blocks} 0, column, batch * ${String(steps)} + step);
  }`;
}

function tileCount({ groups, columns, result }: DeformProblem, tileRows: number, tileColumns: number): Dim {
  return productOf([groups, ceilDivDims(productOf(result.rows), tileRows), Math.ceil(columns / tileColumns)]);
}

interface Main {
  readonly uses: string;
  readonly holes?: string;
  readonly text: string;
  readonly launch: Launch;
  /** Of scratch memory for weights that only the run knows, which a kernel `pack` fills. Default: none. */
  readonly packedBytes?: number;
}

/** The product's kernel, what packs its weights, and, where blocks share the steps of a tile, what adds their sums. */
function withSplits(
  problem: DeformProblem,
  splits: number,
  printed: PrintedDeform,
  args: Arguments,
  main: Main,
): Promise<EmittedStep> {
  const { groups, columns } = problem;
  const { packedBytes = 0 } = main;
  const rows = productOf(problem.result.rows);
  const add = `
extern "C" __global__ void __launch_bounds__(${String(sideThreads)}) add(const __grid_constant__ Arguments a) {
  add_splits<Deform, ${String(sideThreads)}>(a);
}`;
  const block = [sideThreads, 1, 1] as const;
  const vectors = productOf([groups, rows, Math.ceil(columns / Math.min(4, printed.width))]);
  const bytes = splits > 1 ? productOf([groups, rows, pitchOf(problem), splits * 4]) : 0;
  const scratch = splits > 1 || packedBytes > 0 ? addDims(bytes, packedBytes) : undefined;
  return launchStep({
    uses: [main.uses],
    holes: [main.holes ?? '', printed.text].join('\n'),
    text: `${main.text}${splits > 1 ? add : ''}`,
    arguments: args,
    launches: [
      ...(packedBytes > 0
        ? [{ function: 'pack', grid: [Math.ceil(packedElements(problem) / sideThreads), 1, 1], block } as const]
        : []),
      main.launch,
      ...(splits > 1 ? [{ function: 'add', grid: [ceilDivDims(vectors, sideThreads), 1, 1], block } as const] : []),
    ],
    ...(scratch !== undefined && { workspaceBytes: scratch }),
  });
}
