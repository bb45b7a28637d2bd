/** oneHot and reverseSequence: every element of the result finds its source by itself. */

import { type EmitContext, type EmittedStep, type GroupView, type Node } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { countedShape } from './counted-shape.js';
import { AnchorOperands, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

export const oneHot: Tactic = operatorTactic({
  name: 'oneHot',
  operators: ['oneHot'],
  counts: true,
  emit: (group: GroupView, context: EmitContext): Promise<EmittedStep> =>
    countedShape({ group, context, shape: printDepth, write: () => emitOneHot(group, context) }),
});

/** As the indices, with the depth among them. */
function printDepth(operands: AnchorOperands, args: Arguments, { attributes }: Node): string {
  const { dims } = operands.input(0).view;
  const rank = dims.length + 1;
  const axis = ((attributes['axis'] as number) + rank) % rank;
  const extents = dims.map((d) => args.dim(d)).toSpliced(axis, 0, `convert<i64>(*${operands.input(1).pointer})`);
  return extents.map((d, k) => `  dims[${String(k)}] = ${d};`).join('\n');
}

function emitOneHot(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  // The depth is in the dims of the result.
  const [indices, values, y] = [operands.input(0), operands.input(2), operands.output()];
  const rank = y.view.dims.length;
  const axis = ((group.anchor!.attributes['axis'] as number) + rank) % rank;
  const c = names('c', rank);
  const depth = args.dim(y.view.dims[axis]!);
  return emitOverOutput(
    'one_hot',
    args,
    y,
    [indices, values],
    'rows',
    () => `
  i64 hot = convert<i64>(${indices.at(c.toSpliced(axis, 1))});
  if (hot < 0) hot += ${depth};
  ${y.at(c)} = hot == c${String(axis)} ? ${values.at(['1'])} : ${values.at(['0'])};`,
  );
}

export const reverseSequence: Tactic = operatorTactic({
  name: 'reverseSequence',
  operators: ['reverseSequence'],
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const operands = new AnchorOperands(group, context, args);
    const [x, lengths, y] = [operands.input(0), operands.input(1), operands.output()];
    const batch = group.anchor!.attributes['batchAxis'] as number;
    const time = 1 - batch;
    const c = names('c', y.view.dims.length);
    return emitOverOutput(
      'reverse_sequence',
      args,
      y,
      [x, lengths],
      'rows',
      (number) => `
  const ${number} length = ${number}(${lengths.at([`c${String(batch)}`])});
  const ${number} from = c${String(time)} < length ? length - 1 - c${String(time)} : c${String(time)};
  if (from < ${args.dim(x.view.dims[time]!)}) ${y.at(c)} = ${x.at(c.toSpliced(time, 1, 'from'))};`,
    );
  },
});
