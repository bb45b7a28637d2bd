/** range: start, limit and delta are read on the device, which counts the elements where nothing else tells. */

import { domainOf, type EmitContext, type EmittedStep, type GroupView } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { countedShape } from './counted-shape.js';
import { AnchorOperands, emitOverOutput } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

export const range: Tactic = operatorTactic({
  name: 'range',
  operators: ['range'],
  counts: true,
  emit: (group: GroupView, context: EmitContext): Promise<EmittedStep> =>
    countedShape({ group, context, shape: countElements, decidedBy: [0, 1, 2], write: () => fill(group, context) }),
});

function countElements(operands: AnchorOperands): string {
  const domain = domainOf(operands.input(0).dtype);
  const number = domain.startsWith('f') ? 'f64' : domain;
  const [start, limit, delta] = [0, 1, 2].map((i) => `convert<${number}>(*${operands.input(i).pointer})`);
  const head = `  const ${number} start = ${start!}, limit = ${limit!}, delta = ${delta!};`;
  if (number === 'f64')
    return `${head}
  const f64 count = ceil((limit - start) / delta);
  valid = delta != 0 && count < 2147483648.0;
  dims[0] = count > 0 ? static_cast<i64>(count) : 0;`;
  return `${head}
  const bool up = delta > ${number}(0);
  const u64 span = up ? static_cast<u64>(limit) - static_cast<u64>(start) : static_cast<u64>(start) - static_cast<u64>(limit);
  const u64 size = up ? static_cast<u64>(delta) : u64{0} - static_cast<u64>(delta);
  valid = delta != ${number}(0);
  dims[0] = !valid || (up ? limit <= start : start <= limit) ? 0 : static_cast<i64>((span - 1) / size) + 1;`;
}

function fill(group: GroupView, context: EmitContext): Promise<EmittedStep> {
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
}
