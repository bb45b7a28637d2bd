/** range: start and delta are read on the device; the number of elements is known. */

import { domainOf, type EmitContext, type EmittedStep, type GroupView } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, emitOverOutput } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

export const range: Tactic = operatorTactic({
  name: 'range',
  operators: ['range'],
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const operands = new AnchorOperands(group, context, args);
    const [start, delta, y] = [operands.input(0), operands.input(2), operands.output()];
    // Floats are multiplied out in double: steps would add up their errors.
    const domain = domainOf(y.dtype).startsWith('f') ? 'f64' : domainOf(y.dtype);
    const value = (pointer: string): string => `convert<${domain}>(*${pointer})`;
    return emitOverOutput(
      'range',
      args,
      y,
      [],
      'rows',
      () =>
        `  ${y.at(['c0'])} = convert<${y.type}>(scalar_add(${value(start.pointer)}, scalar_mul(${value(delta.pointer)}, static_cast<${domain}>(c0))));`,
    );
  },
});
