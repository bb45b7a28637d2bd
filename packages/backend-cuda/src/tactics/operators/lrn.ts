/** lrn: each element by the squares of the channels around it. */

import { type EmitContext, type EmittedStep, type GroupView, type Layout } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { layoutsFor } from '../operands.js';
import { AnchorOperands, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { sumType } from './pool.js';

export const lrn: Tactic = operatorTactic({
  name: 'lrn',
  operators: ['lrn'],
  layouts: (group) => layoutsFor(group.outputs[0]!),
  dense: true,
  emit(group: GroupView, context: EmitContext, layout: Layout): Promise<EmittedStep> {
    const args = new Arguments();
    const operands = new AnchorOperands(group, context, args);
    const [x, y] = [operands.input(0), operands.output()];
    const [size, alpha, beta, bias] = ['size', 'alpha', 'beta', 'bias'].map(
      (name) => group.anchor!.attributes[name] as number,
    ) as [number, number, number, number];
    const before = Math.floor((size - 1) / 2);
    const c = names('c', x.view.dims.length);
    const t = sumType(x.dtype);
    const number = (v: number): string => `${t}(${String(v)})`;
    return emitOverOutput(
      'lrn',
      args,
      y,
      [x],
      layout,
      () => `
  ${t} squares = 0;
#pragma unroll
  for (int k = ${String(-before)}; k <= ${String(size - 1 - before)}; ++k) {
    if (c1 + k < 0 || c1 + k >= ${args.dim(x.view.dims[1]!)}) continue;
    const ${t} v = convert<${t}>(${x.at(['c0', '(c1 + k)', ...c.slice(2)])});
    squares += v * v;
  }
  const ${t} scale = scalar_pow(${number(bias)} + ${number(alpha / size)} * squares, ${number(beta)});
  ${y.at(c)} = convert<${y.type}>(convert<${t}>(${x.at(c)}) / scale);`,
    );
  },
});
