/** reduceDynamic: which axes go is a tensor, so a warp walks the elements of each result as the device finds them. */

import {
  ceilDivDims,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  productOf,
  type ScratchMemory,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import type { Tactic } from '../../tactic.js';
import { printMonoid } from '../reduce.js';
import { countedShape, dimList, integerList, lengthOf, refuseLengths } from './counted-shape.js';
import { AnchorOperands, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

const threads = 256;
const lanes = 32;

export const reduceDynamic: Tactic = operatorTactic({
  name: 'reduceDynamic',
  operators: ['reduceDynamic'],
  counts: true,
  stridedOutput: false,
  refuses: (group) => refuseLengths(group, [1]),
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const rank = context.view(group.anchorInputs[0]!)!.dims.length;
    return countedShape({
      group,
      context,
      parameters: Math.max(rank, 1),
      shape: (operands, args) => keptShape(group, operands, args),
      write: (parameters) => reduceAxes(group, context, parameters),
    });
  },
});

/** `parameters`: for each axis of the input, whether it goes. */
function keptShape(group: GroupView, operands: AnchorOperands, args: Arguments): string {
  const { attributes, outputs } = group.anchor!;
  const { dims } = operands.input(0).view;
  const [rank, count] = [dims.length, lengthOf(operands, 1)].map(String) as [string, string];
  const all = lengthOf(operands, 1) === 0 && attributes['noopWithEmptyAxes'] !== true;
  const { type } = outputs[0]!;
  const left = String(type.kind === 'tensor' ? type.dims!.length : 0);
  const keep =
    attributes['keepdims'] === true
      ? `  for (int k = 0; k < ${rank}; ++k) dims[k] = parameters[k] ? 1 : x[k];`
      : `  int kept = 0;
  for (int k = 0; k < ${rank}; ++k)
    if (!parameters[k]) {
      if (kept < ${left}) dims[kept] = x[k];
      ++kept;
    }
  valid = valid && kept == ${left};`;
  return `${dimList('x', dims, args)}
${integerList('axes', operands, 1)}
  for (int k = 0; k < ${rank}; ++k) parameters[k] = ${all ? '1' : '0'};
  for (int k = 0; k < ${count}; ++k) {
    const i64 axis = axes[k] < 0 ? axes[k] + ${rank} : axes[k];
    if (axis >= 0 && axis < ${rank}) parameters[axis] = 1;
    else valid = false;
  }
${keep}`;
}

function reduceAxes(group: GroupView, context: EmitContext, parameters: ScratchMemory): Promise<EmittedStep> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y] = [operands.input(0), operands.output()];
  const { operation, value } = printMonoid(x.dtype, group.anchor!.attributes['monoid'] as string);
  const { dims } = x.view;
  const goes = args.scratch(parameters, 'i64');
  const count = productOf(y.view.dims);
  /** Statements that take the coordinates of the axes that stay, or go, from a number. */
  const split = (rest: string, condition: string): string =>
    dims
      .map((d, k) => {
        const n = `i64(${args.dim(d)})`;
        return `    if (${condition}${goes}[${String(k)}]) s${String(k)} = ${rest} % ${n}, ${rest} /= ${n};`;
      })
      .reverse()
      .join('\n');
  const lengths = dims.map((d, k) => `    if (${goes}[${String(k)}]) length *= ${args.dim(d)};`);
  const perBlock = threads / lanes;
  const text = `
extern "C" __global__ void __launch_bounds__(${String(threads)}) reduce_axes(const __grid_constant__ Arguments a) {
  using Operation = ${operation};
  wait_for_predecessor();
  let_successor_start();
  const i64 i = i64(blockIdx.x) * ${String(perBlock)} + warp_index();
  if (i >= ${args.dim(count)}) return;
  [[maybe_unused]] i64 ${[...names('s', dims.length), 'unused'].map((s) => `${s} = 0`).join(', ')};
  i64 length = 1;
  {
    [[maybe_unused]] i64 rest = i;
${split('rest', '!')}
${lengths.join('\n')}
  }
  auto acc = Operation::identity();
  for (i64 at = lane_index(); at < length; at += ${String(lanes)}) {
    [[maybe_unused]] i64 rest = at;
${split('rest', '')}
    acc = Operation::combine(acc, Operation::lift(${x.at(names('s', dims.length))}, 0));
  }
  acc = combine_threads<Operation, ${String(lanes)}>(acc);
  if (lane_index() == 0) ${y.pointer}[i] = convert<${y.type}>(${value});
}
`;
  return launchStep({
    uses: ['reduce'],
    text,
    arguments: args,
    launches: [{ function: 'reduce_axes', grid: [ceilDivDims(count, perBlock), 1, 1], block: [threads, 1, 1] }],
  });
}
