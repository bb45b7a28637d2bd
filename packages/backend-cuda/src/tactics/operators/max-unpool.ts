/** maxUnpool: zeros, then each value at the place where the pooling found it. */

import {
  addDims,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  mulDims,
  productOf,
  subDims,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, coordinates, elementKernel, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { windowsOf } from './windows.js';

export const maxUnpool: Tactic = operatorTactic({
  name: 'maxUnpool',
  operators: ['maxUnpool'],
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const { attributes } = group.anchor!;
    const args = new Arguments();
    const operands = new AnchorOperands(group, context, args);
    const [x, indices, y] = [operands.input(0), operands.input(1), operands.output()];
    const w = windowsOf(attributes, attributes['kernelShape'] as readonly number[]);
    const rank = x.view.dims.length;
    // Indices count in the tensor that the pooling's geometry gives, whatever shape is asked for.
    const natural = x.view.dims.map((d, k) => {
      if (k < 2) return d;
      const i = k - 2;
      const last = addDims(mulDims(subDims(d, 1), w.strides[i]!), w.kernel[i]!);
      return subDims(last, addDims(w.pads[i]!, w.pads[i + rank - 2]!));
    });
    const number = indexType(x.view, indices.view, y.view);
    const c = names('c', rank);
    const clear = elementKernel(
      {
        name: 'clear',
        count: productOf(y.view.dims),
        number,
        body: `${coordinates(y.view.dims, 'rows', number, args)}\n  ${y.at(c)} = convert<${y.type}>(0);`,
      },
      args,
    );
    const inside = y.view.dims.map((d, k) => `p${String(k)} < ${args.dim(d)}`);
    const place = elementKernel(
      {
        name: 'place',
        count: productOf(x.view.dims),
        number,
        body: `${coordinates(x.view.dims, 'rows', number, args)}
  const i64 at = ${indices.at(c)};
  if (at < 0) return;
${coordinates(natural, 'rows', 'i64', args, { letter: 'p', linear: 'at' })}
  if (${inside.join(' && ')}) ${y.at(names('p', rank))} = ${x.at(c)};`,
      },
      args,
    );
    return launchStep({
      text: clear.text + place.text,
      arguments: args,
      launches: [clear.launch, place.launch],
    });
  },
});
