/**
 * scatterElements, scatterND: where the order of updates makes no difference, atomics join them; else they take part in
 * their order. Where they replace or add up exactly, nothing but their places is touched: the result is the data changed
 * in place. So it is for tensorScatter.
 */

import { dimBounds, type EmitContext, type EmittedStep, type GroupView, productOf } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { dtypeOf } from '../operands.js';
import { AnchorOperands, coordinates, elementKernel, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { hasSums, isExact, isOrderless, scatterBest, scatterInPlace, scatterSums } from './scatter-joined.js';
import { replaceInOrder, scatterInOrder } from './scatter-lists.js';
import { reductionOf, ScatterProblem } from './scatter-problem.js';

export const scatter: Tactic = operatorTactic({
  name: 'scatter',
  operators: ['scatterElements', 'scatterND'],
  inPlace: (group) => {
    const reduction = reductionOf(group);
    return reduction === 'none' || isExact(dtypeOf(group.anchor!.inputs[0])!, reduction);
  },
  refuses: (group) => {
    const indices = group.anchor!.inputs[1]!.type;
    const depth = indices.kind === 'tensor' ? indices.dims!.at(-1) : undefined;
    return group.anchor!.op === 'scatterElements' || typeof depth === 'number'
      ? undefined
      : 'the length of index tuples is not known at build time';
  },
  emit: emitScatter,
});

export const tensorScatter: Tactic = operatorTactic({
  name: 'tensorScatter',
  operators: ['tensorScatter'],
  inPlace: () => true,
  emit: emitTensorScatter,
});

function emitScatter(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const problem = new ScatterProblem(group, context);
  const { dtype } = problem.x;
  if (problem.reduction === 'none') return replaceInOrder(problem);
  if (isExact(dtype, problem.reduction)) return scatterInPlace(problem);
  if (isOrderless(dtype, problem.reduction)) return scatterBest(problem);
  return hasSums(problem) ? scatterSums(problem) : scatterInOrder(problem);
}

function emitTensorScatter(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [update, y] = [operands.input(1), operands.output()];
  const begins = operands.has(2) ? operands.input(2) : undefined;
  const { dims } = update.view;
  const axis = ((attributes['axis'] as number) + dims.length) % dims.length;
  const number = indexType(update.view, y.view);
  const c = names('c', dims.length);
  const at = `c${String(axis)}`;
  const [capacity, count] = [y.view.dims[axis]!, dims[axis]!];
  // Where updates go round more than once, the last ones stay.
  const rounds = dimBounds(count).max > dimBounds(capacity).min;
  const circular = `${rounds ? `\n  if (${at} + ${args.dim(capacity)} < ${args.dim(count)}) return;` : ''}
  if (to >= 0) to %= ${args.dim(capacity)};`;
  const kernel = elementKernel(
    {
      name: 'tensor_scatter',
      count: productOf(dims),
      number,
      body: `${coordinates(dims, 'rows', number, args)}
  i64 to = ${at}${begins ? ` + i64(${begins.at(['c0'])})` : ''};${attributes['mode'] === 'circular' ? circular : ''}
  if (to < 0 || to >= ${args.dim(capacity)}) return;
  ${y.at(c.toSpliced(axis, 1, `${number}(to)`))} = ${update.at(c)};`,
    },
    args,
  );
  return launchStep({ text: kernel.text, arguments: args, launches: [kernel.launch] });
}
