/** Launches that list the positions a predicate picks, and how many there are: what selections count. */

import {
  addDims,
  ceilDivDims,
  type Dim,
  dimBounds,
  type EmitContext,
  type GroupView,
  type ScratchMemory,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { extentsMemory } from '../../launch/counted-step.js';
import type { LaunchStep } from '../../launch/launch-step.js';
import { AnchorOperands, type IndexType } from './element-kernel.js';

/** Positions that one block lists by itself. */
const shortest = 8192;
const threads = 256;
const tile = 4096;
const oneBlock = 1024;

export interface PickedPositions {
  readonly count: Omit<LaunchStep, 'outputs'>;
  /** Of type `number`, in order; as many as are picked. */
  readonly list: ScratchMemory;
  readonly number: IndexType;
  readonly extentsMemory: ScratchMemory;
}

/**
 * @param positions how many there are
 * @param pick C++ of a bool, given the position `i`
 * @param limit a position from here on that is picked fails the run. Default: none does
 */
export function pickPositions(
  group: GroupView,
  context: EmitContext,
  positions: Dim,
  pick: (operands: AnchorOperands, number: IndexType, args: Arguments) => string,
  limit?: Dim,
): PickedPositions {
  const args = new Arguments();
  const number = dimBounds(positions).max < 2 ** 31 - tile ? 'i32' : 'i64';
  const dtype = number === 'i32' ? 'int32' : 'int64';
  // One more, so that there is always an element.
  const list: ScratchMemory = { dtype, dims: [addDims(positions, 1)] };
  const extents = extentsMemory([0]);
  const text = `const auto pick = [&](${number} i) -> bool {\n${pick(new AnchorOperands(group, context, args), number, args)}\n  };`;
  const [to, total, n] = [args.scratch(list, number), args.scratch(extents, 'i64'), args.dim(positions)];
  const shared = { uses: ['select'], arguments: args };
  const [checked, report] = limit === undefined ? ['', ''] : checkedBy(limit, number, total, args);
  const listed = limit === undefined ? 'pick' : 'checked';
  if (dimBounds(positions).max <= shortest) {
    const count = {
      ...shared,
      text: kernel(
        'list_all',
        oneBlock,
        `${text}${checked}
  const ${number} picked = list_picked<${String(oneBlock)}, ${number}>(0, ${n}, 0, ${to}, ${listed});
  if (threadIdx.x == 0) *${total} = picked;${report}`,
      ),
      launches: [{ function: 'list_all', grid: [1, 1, 1], block: [oneBlock, 1, 1] }] as const,
      writes: [list, extents],
    };
    return { count, list, number, extentsMemory: extents };
  }
  const blocks = ceilDivDims(positions, tile);
  const counts: ScratchMemory = { dtype, dims: [addDims(blocks, 1)] };
  const sums = args.scratch(counts, number);
  const count = {
    ...shared,
    text: [
      kernel(
        'count',
        threads,
        `${text}\n  count_picked<${String(threads)}, ${String(tile)}, ${number}>(${n}, ${sums}, pick);`,
      ),
      kernel(
        'sum',
        oneBlock,
        `const ${number} picked = sum_counts<${String(oneBlock)}, ${number}>(${args.dim(blocks)}, ${sums});
  if (threadIdx.x == 0) *${total} = picked;`,
      ),
      kernel(
        'list',
        threads,
        `${text}${checked}
  const ${number} begin = ${number}(blockIdx.x) * ${String(tile)};
  list_picked<${String(threads)}, ${number}>(begin, min(begin + ${String(tile)}, ${number}(${n})), ${sums}[blockIdx.x], ${to}, ${listed});${report}`,
      ),
    ].join('\n'),
    launches: [
      { function: 'count', grid: [blocks, 1, 1], block: [threads, 1, 1] },
      { function: 'sum', grid: [1, 1, 1], block: [oneBlock, 1, 1] },
      { function: 'list', grid: [blocks, 1, 1], block: [threads, 1, 1] },
    ] as const,
    writes: [list, extents, counts],
  };
  return { count, list, number, extentsMemory: extents };
}

function kernel(name: string, block: number, body: string): string {
  return `
extern "C" __global__ void __launch_bounds__(${String(block)}) ${name}(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  ${body}
}
`;
}

/** C++ of a predicate `checked` that remembers what lies outside, and of the statement that tells. */
function checkedBy(limit: Dim, number: IndexType, total: string, args: Arguments): [string, string] {
  return [
    `
  bool outside = false;
  const auto checked = [&](${number} i) -> bool {
    const bool picked = pick(i);
    outside = outside || (picked && i >= ${args.dim(limit)});
    return picked;
  };`,
    `
  __syncthreads();
  if (outside) *${total} = -1;`,
  ];
}
