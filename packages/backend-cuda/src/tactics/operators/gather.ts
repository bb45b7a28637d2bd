/** gather, gatherElements, gatherND: vectors along what lies dense in data and result, found by one index or more; and maps of them. */

import {
  anchorArg,
  ceilDivDims,
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  mulDims,
  provablyDivisible,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import {
  broadcastView,
  elementsOf,
  mergeAxes,
  printCoordinates,
  printOffset,
  vectorWidth,
} from '../../print/loop-space.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { argsOf, printBody } from '../map.js';
import { dtypeOf } from '../operands.js';
import { AnchorOperands, elementKernel } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

/** One index of a tuple: where it stands among the indices, and the axis of data that it picks from. */
interface Pick {
  readonly offset: Dim;
  readonly stride: Dim;
  readonly extent: Dim;
}

/** Data and indices as the result's coordinates walk them, and what is added to the place in data. */
interface Walk {
  readonly data: MemoryView;
  readonly indices: MemoryView;
  readonly picks: readonly Pick[];
}

export const gather: Tactic = operatorTactic({
  name: 'gather',
  operators: ['gather', 'gatherElements', 'gatherND'],
  epilogue: true,
  refuses: (group) => {
    const depth = group.anchor!.op === 'gatherND' ? dimsOf(group, 1).at(-1) : 0;
    return typeof depth === 'number' ? undefined : 'the length of index tuples is not known at build time';
  },
  emit: emitGather,
});

function dimsOf(group: GroupView, position: number): readonly Dim[] {
  const { type } = group.anchor!.inputs[position]!;
  return type.kind === 'tensor' ? type.dims! : [];
}

function walkOf(group: GroupView, x: MemoryView, indices: MemoryView, dims: readonly Dim[]): Walk {
  const { op, attributes } = group.anchor!;
  const view = (strides: readonly Dim[], offset: Dim): MemoryView => ({ offset, dims, strides });
  const none = (count: number): Dim[] => new Array<Dim>(count).fill(0);
  if (op === 'gatherND') {
    const batch = attributes['batchDims'] as number;
    const depth = indices.dims.at(-1) as number;
    const lead = indices.dims.length - 1;
    return {
      data: view([...x.strides.slice(0, batch), ...none(lead - batch), ...x.strides.slice(batch + depth)], x.offset),
      indices: view([...indices.strides.slice(0, -1), ...none(dims.length - lead)], indices.offset),
      picks: Array.from({ length: depth }, (_, k) => ({
        offset: mulDims(indices.strides.at(-1)!, k),
        stride: x.strides[batch + k]!,
        extent: x.dims[batch + k]!,
      })),
    };
  }
  const axis = ((attributes['axis'] as number) + x.dims.length) % x.dims.length;
  const picks = [{ offset: 0, stride: x.strides[axis]!, extent: x.dims[axis]! }];
  if (op === 'gatherElements')
    return {
      data: view(
        x.strides.map((s, k) => (k === axis ? 0 : s)),
        x.offset,
      ),
      indices,
      picks,
    };
  const rank = indices.dims.length;
  return {
    data: view([...x.strides.slice(0, axis), ...none(rank), ...x.strides.slice(axis + 1)], x.offset),
    indices: view([...none(axis), ...indices.strides, ...none(x.dims.length - axis - 1)], indices.offset),
    picks,
  };
}

function emitGather(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, indices, y] = [operands.input(0), operands.input(1), operands.output()];
  const walk = walkOf(group, x.view, indices.view, y.view.dims);
  const expressions = group.expressions();
  const picks = anchorArg(group);
  const others = argsOf(expressions)
    .filter((arg) => arg !== picks)
    .map((arg) => ({
      index: arg,
      dtype: dtypeOf(group.node.inputs[arg])!,
      view: broadcastView(context.view(arg)!, y.view.dims),
    }));
  const inputs = [{ index: picks, dtype: x.dtype, view: walk.data, pointer: 'from' }, ...others];
  const views = [y.view, ...inputs.map((o) => o.view), walk.indices];
  const axes = mergeAxes(views, 'rows');
  const inner = axes.at(-1)!;
  // Whole vectors move where neighbours in the result are neighbours in data, at places that are aligned.
  const last = views.length - 1;
  const along = inner.strides[1] === 1 && inner.strides[last] === 0;
  let width = along ? vectorWidth(axes, views, [y.dtype, ...inputs.map((o) => o.dtype), x.dtype]) : 1;
  while (!walk.picks.every((p) => provablyDivisible(p.stride, width))) width /= 2;
  const number = indexType(x.view, ...views);
  const picked = walk.picks.map(({ offset, stride, extent }) => {
    const at = `${indices.pointer}[${printOffset(axes, last, args)}${offset === 0 ? '' : ` + ${args.dim(offset)}`}]`;
    return ` + ${number}(pick_index(${at}, ${args.dim(extent)})) * ${args.dim(stride)}`;
  });
  // Alone, elements move as they are, whatever their bits say.
  const alone = expressions.every((e) => e.op === 'arg' && e.index === picks);
  const body = alone
    ? `  store_vec(${y.pointer} + ${printOffset(axes, 0, args)}, load_vec<${String(width)}>(from));`
    : printBody(expressions, inputs, [y], args, width, axes);
  const kernel = elementKernel(
    {
      name: 'gather',
      count: ceilDivDims(elementsOf(axes), width),
      number,
      body: `
  ${printCoordinates(axes, width, number, args)}
  const auto* from = ${x.pointer} + ${printOffset(axes, 1, args)}${picked.join('')};
${body}`,
    },
    args,
  );
  return launchStep({ uses: ['indexing'], text: kernel.text, arguments: args, launches: [kernel.launch] });
}
