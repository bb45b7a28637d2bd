/**
 * scatterElements, scatterND: where the order of updates makes no difference, atomics join them; else they take part in
 * their order. tensorScatter: every element of the result finds its update by itself.
 */

import type { EmitContext, EmittedStep, GroupView } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { hasSums, isOrderless, scatterInPlace, scatterSums } from './scatter-joined.js';
import { scatterInOrder } from './scatter-lists.js';
import { ScatterProblem } from './scatter-problem.js';

export const scatter: Tactic = operatorTactic({
  name: 'scatter',
  operators: ['scatterElements', 'scatterND'],
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
  emit: emitTensorScatter,
});

function emitScatter(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const problem = new ScatterProblem(group, context);
  if (isOrderless(problem.x.dtype, problem.reduction)) return scatterInPlace(problem);
  return hasSums(problem) ? scatterSums(problem) : scatterInOrder(problem);
}

function emitTensorScatter(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [past, update, y] = [operands.input(0), operands.input(1), operands.output()];
  const begins = operands.has(2) ? operands.input(2) : undefined;
  const rank = y.view.dims.length;
  const axis = ((attributes['axis'] as number) + rank) % rank;
  const c = names('c', rank);
  const at = `c${String(axis)}`;
  const circular = attributes['mode'] === 'circular';
  return emitOverOutput(
    'tensor_scatter',
    args,
    y,
    [past, update],
    'rows',
    (number) => `
  ${number} from = ${at} - ${begins ? `${number}(${begins.at(['c0'])})` : '0'};
${circular ? `  if (from < 0) from += ${args.dim(y.view.dims[axis]!)};` : ''}
  const bool fresh = from >= 0 && from < ${args.dim(update.view.dims[axis]!)};
  ${y.at(c)} = fresh ? ${update.at(c.toSpliced(axis, 1, 'from'))} : ${past.at(c)};`,
  );
}
