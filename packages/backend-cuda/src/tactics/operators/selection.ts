/** nonZero and compress: the positions that are picked are listed, counted, and then gathered from. */

import { type EmitContext, type EmittedStep, type GroupView, productOf } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { countedStep } from '../../launch/counted-step.js';
import { launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, coordinates, elementKernel, names } from './element-kernel.js';
import { operatorTactic, ownExtents } from './operator-tactic.js';
import { pickPositions } from './picked-positions.js';

export const nonZero: Tactic = operatorTactic({
  name: 'nonZero',
  operators: ['nonZero'],
  counts: true,
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const { dims } = new AnchorOperands(group, context, new Arguments()).input(0).view;
    const picked = pickPositions(group, context, productOf(dims), (operands, number, args) => {
      const x = operands.input(0);
      return `${coordinates(dims, 'rows', number, args)}\n    return ${isNot0(x.type, x.at(names('c', dims.length)))};`;
    });
    const args = new Arguments();
    const y = new AnchorOperands(group, context, args).output();
    const { list, number } = picked;
    const places = dims.length === 0 ? [number === 'i32' ? 'i32(0)' : 'i64(0)'] : names('c', dims.length);
    const write = elementKernel(
      {
        name: 'write',
        count: y.view.dims[1]!,
        number,
        body: `  const ${number} at = ${args.scratch(list, number)}[i];
${coordinates(dims, 'rows', number, args, { linear: 'at' })}
${places.map((c, axis) => `  ${y.at([String(axis), 'i'])} = ${c};`).join('\n')}`,
      },
      args,
    );
    return countedStep({
      ...picked,
      group,
      context,
      extents: ownExtents(group),
      write: launchStep({ text: write.text, arguments: args, launches: [write.launch] }),
    });
  },
});

/** NaN counts as something, both zeros as nothing. */
function isNot0(type: string, element: string): string {
  if (type === 'b8') return `bool(${element})`;
  return /^(f16|bf16|f8)/.test(type) ? `convert<f32>(${element}) != 0.0f` : `${element} != ${type}(0)`;
}

export const compress: Tactic = operatorTactic({
  name: 'compress',
  operators: ['compress'],
  counts: true,
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const operands = new AnchorOperands(group, context, new Arguments());
    const [x, condition] = [operands.input(0).view, operands.input(1).view];
    const flat = group.anchor!.attributes['axis'] === undefined;
    const rank = x.dims.length;
    const axis = flat ? 0 : ((group.anchor!.attributes['axis'] as number) + rank) % rank;
    // What the condition does not reach is left out.
    const picked = pickPositions(
      group,
      context,
      condition.dims[0]!,
      (c) => `    return bool(${c.input(1).at(['i'])});`,
      flat ? productOf(x.dims) : x.dims[axis]!,
    );
    const args = new Arguments();
    const own = new AnchorOperands(group, context, args);
    const [from, y] = [own.input(0), own.output()];
    const number = indexType(x, y.view);
    const at = `${number}(${args.scratch(picked.list, picked.number)}[${flat ? 'i' : `c${String(axis)}`}])`;
    const place = flat
      ? `  const ${number} at = ${at};\n${coordinates(x.dims, 'rows', number, args, { linear: 'at', letter: 'x' })}`
      : `${coordinates(y.view.dims, 'rows', number, args)}\n  const ${number} at = ${at};`;
    const source = flat ? names('x', rank) : names('c', rank).toSpliced(axis, 1, 'at');
    const target = flat ? ['i'] : names('c', rank);
    const write = elementKernel(
      {
        name: 'write',
        count: productOf(y.view.dims),
        number,
        body: `${place}\n  ${y.at(target)} = ${from.at(source)};`,
      },
      args,
    );
    return countedStep({
      ...picked,
      group,
      context,
      extents: ownExtents(group),
      write: launchStep({ text: write.text, arguments: args, launches: [write.launch] }),
    });
  },
});
