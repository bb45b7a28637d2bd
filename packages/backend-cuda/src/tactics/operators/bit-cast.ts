/** bitCast: the bits of every element as another dtype of the same width. */

import { type EmitContext, type EmittedStep, type GroupView } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

export const bitCast: Tactic = operatorTactic({
  name: 'bitCast',
  operators: ['bitCast'],
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const operands = new AnchorOperands(group, context, args);
    const [x, y] = [operands.input(0), operands.output()];
    const c = names('c', y.view.dims.length);
    return emitOverOutput(
      'bit_cast_elements',
      args,
      y,
      [x],
      'rows',
      () => `  ${y.at(c)} = bit_cast<${y.type}>(${x.at(c)});`,
    );
  },
});
