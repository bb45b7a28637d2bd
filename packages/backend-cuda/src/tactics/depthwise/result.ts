/** What both kernels of depthwise convolutions make of their sums: bias, the group's maps and the store. */

import type { EmitContext, GroupView, MemoryView } from '@tensorwright/core';
import { dtypeInfo, provablyDivisible } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { type Geometry, ungrouped } from '../contraction/conv-problem.js';
import { problemOf } from '../contraction/group.js';
import type { Problem } from '../contraction/problem.js';
import { printResult } from '../contraction/result.js';
import { dtypeOf } from '../operands.js';

/** The contraction without groups: columns are the channels, and nothing is summed but the taps. */
function channelwise(problem: Problem, channels: number): Problem {
  return {
    ...problem,
    batch: [],
    columns: [channels],
    output: ungrouped(problem.output),
  };
}

/** `struct Result`, whose rows are output pixels and whose columns are channels. */
export function printChannelResult(
  group: GroupView,
  geometry: Geometry,
  accumulator: string,
  context: EmitContext,
  args: Arguments,
): string {
  const problem = channelwise(problemOf(group), geometry.x[1] as number);
  const view = (input: number): MemoryView => context.view(input)!;
  return printResult({ group, problem, view, output: context.outputView(0)!, accumulator }, args).text;
}

/** Channels that one load of the image brings, at most 8. */
export function channelWidth(group: GroupView, geometry: Geometry, context: EmitContext): number {
  const input = group.anchorInputs[0]!;
  const x = context.view(input)!;
  const channels = geometry.x[1] as number;
  let width = Math.min(8, 128 / dtypeInfo(dtypeOf(group.node.inputs[input])!).bits);
  const fits = (w: number): boolean =>
    channels % w === 0 &&
    x.strides[1] === 1 &&
    provablyDivisible(x.offset, w) &&
    x.strides.every((s, i) => i === 1 || x.dims[i] === 1 || provablyDivisible(s, w));
  while (width > 1 && !fits(width)) width /= 2;
  return width;
}
