/** nonMaxSuppression: a block to a class of an image lists the boxes it keeps; then all lists are written as one. */

import {
  addDims,
  type Dim,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  mulDims,
  type ScratchMemory,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { countedStep, extentsMemory } from '../../launch/counted-step.js';
import { launchStep, type LaunchStep } from '../../launch/launch-step.js';
import type { Tactic } from '../../tactic.js';
import { powerOfTwo } from '../lane-shape.js';
import { AnchorOperands, elementKernel } from './element-kernel.js';
import { operatorTactic, ownExtents } from './operator-tactic.js';

const threads = 512;
const sumThreads = 1024;
/** Boxes that a block sorts in shared memory. */
const mostShared = 4096;

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
  const numbers = [0, 1, 2, 3].map((k) => `convert<${centred ? 'f64' : 'f32'}>(${all.at(['image', 'i', String(k)])})`);
  const most = dimBounds(boxes).max;
  const shared = most <= mostShared;
  const [n, t] = [args.dim(boxes), String(threads)];
  // Fewer than twice the boxes make the next power of two.
  const slots: Dim = addDims(mulDims(boxes, 2), 2);
  const workspace = shared ? '' : args.workspace(0, 'u64');
  const flags = shared ? '' : args.workspace(mulDims(mulDims(lists, slots), 8), 'u8');
  const room = shared
    ? `__shared__ u64 items[${String(powerOfTwo(Math.max(most, 2)))}];
  __shared__ u8 alive[sizeof items / sizeof items[0]];`
    : `u64* const items = ${workspace} + i64(blockIdx.x) * ${args.dim(slots)};
  u8* const alive = ${flags} + i64(blockIdx.x) * ${args.dim(slots)};`;
  const [list, counts] = [args.scratch(memory.list, 'i32'), args.scratch(memory.counts, 'i64')];
  const text = `
extern "C" __global__ void __launch_bounds__(${t}) suppress_all(const __grid_constant__ Arguments a) {
  ${room}
  wait_for_predecessor();
  let_successor_start();
  const i64 image = i64(blockIdx.x) / ${args.dim(classes)}, label = i64(blockIdx.x) % ${args.dim(classes)};
  const u32 n = ${n};
  u32 size = 2;
  while (size < n) size *= 2;
  const auto score = [&](u32 i, f32& value) -> bool {
    value = convert<f32>(${scores.at(['image', 'label', 'i'])});
    return ${least === undefined ? 'true' : `value > ${least}`};
  };
  const auto box = [&](u32 i) { return ${centred ? 'box_around_centre' : 'box_of_corners'}(${numbers.join(', ')}); };
  const i32 kept = suppress<${t}>(items, alive, size, n, ${optional(2, 'i64') ?? 'i64(0)'}, ${optional(3, 'f32') ?? '0.0f'},
                                  ${list} + i64(blockIdx.x) * ${n}, score, box);
  if (threadIdx.x == 0) ${counts}[blockIdx.x] = kept;
}
extern "C" __global__ void __launch_bounds__(${String(sumThreads)}) sum_up(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const i64 all = sum_counts<${String(sumThreads)}, i64>(${args.dim(lists)}, ${counts});
  if (threadIdx.x == 0) *${args.scratch(memory.extents, 'i64')} = all;
}
`;
  return {
    uses: ['sort', 'select', 'suppression'],
    text,
    arguments: args,
    launches: [
      { function: 'suppress_all', grid: [lists, 1, 1], block: [threads, 1, 1] },
      { function: 'sum_up', grid: [1, 1, 1], block: [sumThreads, 1, 1] },
    ],
    writes: [memory.list, memory.counts, memory.extents],
    ...(!shared && { workspaceBytes: mulDims(mulDims(lists, slots), 9) }),
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
