/** Small copies into one value as one launch each of many: operands of concats, which take less than their launches. */

import {
  dimBounds,
  type DType,
  dtypeInfo,
  type EmittedStep,
  type JoinedCopies,
  type MemoryView,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import { elementsOf, mergeAxes, printCoordinates, printOffset } from '../print/loop-space.js';
import { indexType } from '../print/views.js';

/** Larger ones are worth vectors of their own. */
const mostBytes = 64 * 1024;
/** What the parameters of a launch have room for, each copy with its extents and strides. */
const mostCopies = 24;
const threads = 256;
const elementsOfThread = 4;
const mostBlocks = 16;

interface Copy {
  readonly from: MemoryView;
  readonly to: MemoryView;
}

/** Copies move bits: one kernel for all elements of a size. */
const carriers: Readonly<Record<number, string>> = { 8: 'u8', 16: 'u16', 32: 'u32', 64: 'u64' };

export function joinCopies(dtype: DType, copies: readonly Copy[]): readonly JoinedCopies[] {
  const { bits } = dtypeInfo(dtype);
  if (carriers[bits] === undefined) return [];
  const small = copies.flatMap(({ to }, i) => ((largest(to) * bits) / 8 <= mostBytes ? [i] : []));
  const joined: JoinedCopies[] = [];
  for (let at = 0; at + 1 < small.length; at += mostCopies) {
    const members = small.slice(at, at + mostCopies);
    const step = emitCopies(
      bits,
      members.map((i) => copies[i]!),
    );
    joined.push({ copies: members, step });
  }
  return joined;
}

/** Elements, at most. */
function largest({ dims }: MemoryView): number {
  return dimBounds(productOf(dims)).max;
}

function emitCopies(bits: number, copies: readonly Copy[]): Promise<EmittedStep> {
  const args = new Arguments();
  const type = carriers[bits]!;
  const views = copies.map(({ from, to }) => [to, { ...from, dims: to.dims }] as const);
  const index = indexType(...views.flat());
  const target = args.output(0, type);
  const cases = views.map((operands, k) => {
    const axes = mergeAxes(operands, 'rows');
    // The target's own offset is no part of its pointer: all write to one value.
    return `    case ${String(k)}:
      for (${index} i = first; i < ${args.dim(elementsOf(axes))}; i += step) {
        ${printCoordinates(axes, 1, index, args)}
        ${target}[${args.dim(operands[0].offset)} + ${printOffset(axes, 0, args)}] = ${args.input(k, type)}[${printOffset(axes, 1, args)}];
      }
      break;`;
  });
  const elements = Math.max(...copies.map(({ to }) => largest(to)));
  const blocks = Math.min(mostBlocks, Math.max(1, Math.ceil(elements / (threads * elementsOfThread))));
  const text = `
extern "C" __global__ void __launch_bounds__(${String(threads)}) copies(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const ${index} first = ${index}(blockIdx.x) * ${String(threads)} + ${index}(threadIdx.x);
  const ${index} step = ${index}(gridDim.x) * ${String(threads)};
  switch (blockIdx.y) {
${cases.join('\n')}
  }
}
`;
  return launchStep({
    text,
    arguments: args,
    launches: [{ function: 'copies', grid: [blocks, copies.length, 1], block: [threads, 1, 1] }],
  });
}
