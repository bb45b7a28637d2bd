/**
 * nonMaxSuppression: a list of boxes for each class of each image is sorted and decided by many blocks; then what all lists
 * keep is written as one.
 */

import {
  addDims,
  ceilDivDims,
  type Dim,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  maxDims,
  minDims,
  mulDims,
  type ScratchMemory,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { countedStep, extentsMemory } from '../../launch/counted-step.js';
import { type Launch, launchStep, type LaunchStep } from '../../launch/launch-step.js';
import { Workspace } from '../../launch/workspace.js';
import type { Tactic } from '../../tactic.js';
import { clamp, powerOfTwo } from '../lane-shape.js';
import { AnchorOperands, elementKernel } from './element-kernel.js';
import { operatorTactic, ownExtents } from './operator-tactic.js';

const placeThreads = 256;
const sumThreads = 1024;
/** Boxes that a block sorts. */
const run = 4096;
/** As in suppression.cuh. */
const stretch = 128;
const suppressThreads = 512;
const decidedBytes = 32;
/** Blocks that decide stretches: some more than a device runs at once. */
const mostBlocks = 1024;

export const nonMaxSuppression: Tactic = operatorTactic({
  name: 'nonMaxSuppression',
  operators: ['nonMaxSuppression'],
  counts: true,
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const [images, classes, boxes] = context.view(group.anchorInputs[1]!)!.dims as [Dim, Dim, Dim];
    const lists = mulDims(images, classes);
    const memory: Memory = {
      list: { dtype: 'int32', dims: [addDims(mulDims(lists, boxes), 1)] },
      counts: { dtype: 'int64', dims: [addDims(lists, 1)] },
      extents: extentsMemory([0]),
    };
    return countedStep({
      group,
      context,
      extents: ownExtents(group),
      extentsMemory: memory.extents,
      count: suppress(group, context, { lists, classes, boxes }, memory),
      write: write(group, context, { lists, classes, boxes }, memory),
    });
  },
});

interface Memory {
  /** Boxes that each list keeps, at the list's number times the number of boxes. */
  readonly list: ScratchMemory;
  /** How many each keeps, and then how many those before it do. */
  readonly counts: ScratchMemory;
  readonly extents: ScratchMemory;
}

interface Sizes {
  readonly lists: Dim;
  readonly classes: Dim;
  readonly boxes: Dim;
}

function suppress(
  group: GroupView,
  context: EmitContext,
  { lists, classes, boxes }: Sizes,
  memory: Memory,
): Omit<LaunchStep, 'outputs'> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [all, scores] = [operands.input(0), operands.input(1)];
  const optional = (input: number, type: string): string | undefined =>
    operands.has(input) ? `convert<${type}>(*${operands.input(input).pointer})` : undefined;
  const least = optional(4, 'f32');
  const centred = group.anchor!.attributes['centerPointBox'] === 1;
  const coordinate = centred ? 'f64' : 'f32';
  const corners = [0, 1, 2, 3].map((k) => `convert<${coordinate}>(${all.at(['image', 'i', String(k)])})`);
  // An empty list has a run and a stretch, too: somebody has to say that it keeps nothing.
  const runs = maxDims(ceilDivDims(boxes, run), 1);
  const stretches = maxDims(ceilDivDims(boxes, stretch), 1);
  const most = dimBounds(boxes).max;
  const single = most <= run;
  const sortedAtOnce = Math.min(run, powerOfTwo(Math.max(most, 2)));
  const runThreads = clamp(sortedAtOnce / 4, 32, 1024);
  const workspace = new Workspace();
  const piece = (bytes: Dim, type: string): string => args.workspace(workspace.take(bytes), type);
  const elements = mulDims(lists, boxes);
  const order = piece(mulDims(elements, 4), 'u32');
  const keys = single ? '' : piece(mulDims(elements, 8), 'u64');
  const counts = piece(mulDims(mulDims(lists, runs), 4), 'u32');
  const decided = piece(mulDims(mulDims(lists, stretches), decidedBytes), 'struct Decided');
  const taken = piece(4, 'u32');
  const [list, numbers] = [args.scratch(memory.list, 'i32'), args.scratch(memory.counts, 'i64')];
  const n = `u32(${args.dim(boxes)})`;
  const sorted = single
    ? `  for (u32 i = threadIdx.x; i < count; i += ${String(runThreads)}) ${order}[i64(l) * ${n} + i] = index_of(items[i]);`
    : `  for (u32 i = threadIdx.x; i < end - first; i += ${String(runThreads)}) ${keys}[i64(l) * ${n} + first + i] = items[i];`;
  const place = `
extern "C" __global__ void __launch_bounds__(${String(placeThreads)}) place(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  constexpr u32 run = ${String(run)};
  const u32 n = ${n}, runs = ${args.dim(runs)}, blocks = (n + ${String(placeThreads - 1)}) / ${String(placeThreads)};
  const u32 l = blockIdx.x / blocks, at = blockIdx.x % blocks * ${String(placeThreads)} + threadIdx.x;
  const u32* const counts = ${counts} + i64(l) * runs;
  if (at >= n || at % run >= counts[at / run]) return;
  const u64* const keys = ${keys} + i64(l) * n;
  ${order}[i64(l) * n + place_among_runs<run>(keys, counts, runs, at)] = index_of(keys[at]);
}
`;
  const text = `
extern "C" __global__ void __launch_bounds__(${String(runThreads)}) sort_runs(const __grid_constant__ Arguments a) {
  __shared__ u64 items[${String(sortedAtOnce)}];
  wait_for_predecessor();
  let_successor_start();
  const i64 room = i64(${args.dim(lists)}) * ${args.dim(stretches)};
  for (i64 i = i64(blockIdx.x) * ${String(runThreads)} + threadIdx.x; i < room; i += i64(gridDim.x) * ${String(runThreads)})
    ${decided}[i].after = 0;
  if (blockIdx.x == 0 && threadIdx.x == 0) *${taken} = 0;
  const u32 runs = ${args.dim(runs)}, l = blockIdx.x / runs, r = blockIdx.x % runs;
  const i64 image = l / u32(${args.dim(classes)}), label = l % u32(${args.dim(classes)});
  const auto score = [&](u32 i, f32& value) -> bool {
    value = convert<f32>(${scores.at(['image', 'label', 'i'])});
    return ${least === undefined ? 'true' : `value > ${least}`};
  };
  const u32 first = r * ${String(run)}, end = minimum(first + ${String(run)}, ${n});
  const u32 count = sort_run<${String(runThreads)}>(items, first, end, score);
${sorted}
  if (threadIdx.x == 0) ${counts}[blockIdx.x] = count;
}
${single ? '' : place}
extern "C" __global__ void __launch_bounds__(suppress_threads) suppress(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const i64 limit = ${optional(2, 'i64') ?? '0'};
  const f32 threshold = ${optional(3, 'f32') ?? '0'};
  const u32 n = ${n}, runs = ${args.dim(runs)}, stretches = ${args.dim(stretches)};
  const auto list = [&](u32 l) {
    u32 count = 0;
    for (u32 r = 0; r < runs; ++r) count += ${counts}[l * runs + r];
    return BoxList{${order} + i64(l) * n,  count, limit, threshold, ${decided} + i64(l) * stretches, ${list} + i64(l) * n,
                   ${numbers} + l};
  };
  const auto box_of = [&](u32 l) {
    const i64 image = l / u32(${args.dim(classes)});
    return [=](u32 i) { return ${centred ? 'box_around_centre' : 'box_of_corners'}(${corners.join(', ')}); };
  };
  suppress_all<${coordinate}>(${taken}, ${args.dim(lists)}, stretches, list, box_of);
}
extern "C" __global__ void __launch_bounds__(${String(sumThreads)}) sum_up(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const i64 all = sum_counts<${String(sumThreads)}, i64>(${args.dim(lists)}, ${numbers});
  if (threadIdx.x == 0) *${args.scratch(memory.extents, 'i64')} = all;
}
`;
  const placed: Launch = {
    function: 'place',
    grid: [mulDims(lists, ceilDivDims(boxes, placeThreads)), 1, 1],
    block: [placeThreads, 1, 1],
  };
  return {
    uses: ['sort', 'select', 'suppression'],
    text,
    arguments: args,
    launches: [
      { function: 'sort_runs', grid: [mulDims(lists, runs), 1, 1], block: [runThreads, 1, 1] },
      ...(single ? [] : [placed]),
      {
        function: 'suppress',
        grid: [minDims(mulDims(lists, stretches), mostBlocks), 1, 1],
        block: [suppressThreads, 1, 1],
      },
      { function: 'sum_up', grid: [1, 1, 1], block: [sumThreads, 1, 1] },
    ],
    writes: [memory.list, memory.counts, memory.extents],
    workspaceBytes: workspace.bytes,
  };
}

function write(
  group: GroupView,
  context: EmitContext,
  { lists, classes, boxes }: Sizes,
  memory: Memory,
): Promise<EmittedStep> {
  const args = new Arguments();
  const y = new AnchorOperands(group, context, args).output();
  const kernel = elementKernel(
    {
      name: 'write',
      count: y.view.dims[0]!,
      number: 'i64',
      body: `  const i64* const before = ${args.scratch(memory.counts, 'i64')};
  // The last list that begins here or earlier.
  i64 low = 0, high = ${args.dim(lists)};
  while (high - low > 1) {
    const i64 middle = (low + high) / 2;
    if (before[middle] <= i) low = middle;
    else high = middle;
  }
  ${y.at(['i', '0'])} = low / ${args.dim(classes)};
  ${y.at(['i', '1'])} = low % ${args.dim(classes)};
  ${y.at(['i', '2'])} = ${args.scratch(memory.list, 'i32')}[low * ${args.dim(boxes)} + i - before[low]];`,
    },
    args,
  );
  return launchStep({ text: kernel.text, arguments: args, launches: [kernel.launch] });
}
