/** gather, gatherElements, gatherND: vectors along what lies dense in data and result, found by one index or more; and maps of them. */

import {
  anchorArg,
  ceilDivDims,
  type Dim,
  dimBounds,
  type DType,
  dtypeInfo,
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
  type Axis,
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

/** Elements that a thread finds one by one, so that it waits for all of them at once, and stores as a vector. */
const mostPicked = 4;

/** Elements that those of the operands, given by their positions, allow to move at once. */
function denseWidth(
  axes: readonly Axis[],
  views: readonly MemoryView[],
  positions: readonly number[],
  operands: readonly { readonly dtype: DType }[],
): number {
  const dense = axes.map((a) => ({ ...a, strides: positions.map((k) => a.strides[k]!) }));
  const dtypes = operands.map((o) => o.dtype);
  return Math.min(
    vectorWidth(
      dense,
      positions.map((k) => views[k]!),
      dtypes,
    ),
    mostPicked,
  );
}

/** With what is picked, as the second operand, in a vector. */
function withPicked(axes: readonly Axis[]): readonly Axis[] {
  const inner = axes.at(-1)!;
  return axes.with(-1, { ...inner, strides: inner.strides.with(1, 1) });
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
  // All but data and indices, which are read element by element.
  const stored = [0, ...others.map((_, k) => k + 2)];
  const found = along ? 1 : denseWidth(axes, views, stored, [y, ...others]);
  // Indices of 64 bits come two at a time.
  const aligned = Math.min(found, 128 / dtypeInfo(indices.dtype).bits);
  const neighbours = inner.strides[last] === 1 && walk.picks.every((p) => p.offset === 0);
  const together = found > 1 && neighbours && denseWidth(axes, views, [0, last], [y, indices]) >= aligned;
  const place = (v: string): string =>
    walk.picks
      .map(({ offset, stride, extent }) => {
        const terms = [printOffset(axes, last, args), ...(offset === 0 ? [] : [args.dim(offset)])];
        if (v !== '0') terms.push(`${v} * ${args.dim(inner.strides[last]!)}`);
        const at = together ? `places.v[${v}]` : `${indices.pointer}[${terms.join(' + ')}]`;
        return ` + ${number}(pick_index(${at}, ${args.dim(extent)})) * ${args.dim(stride)}`;
      })
      .join('');
  const start = `${x.pointer} + ${printOffset(axes, 1, args)}`;
  // Alone, elements move as they are, whatever their bits say.
  const alone = expressions.every((e) => e.op === 'arg' && e.index === picks);
  const print = (from: string, w: number, of: readonly Axis[]): string =>
    alone
      ? `  store_vec(${y.pointer} + ${printOffset(axes, 0, args)}, ${from === 'from' ? `load_vec<${String(w)}>(from)` : 'picked'});`
      : printBody(
          expressions,
          inputs.map((o) => (o.index === picks ? { ...o, pointer: from } : o)),
          [y],
          args,
          w,
          of,
        );
  const body =
    found > 1
      ? `  const auto* const start = ${start};
${
  together
    ? `  const auto places = load_vec<${String(found)}>(${indices.pointer} + ${printOffset(axes, last, args)});
`
    : ''
}  Vec<${x.type}, ${String(found)}> picked;
#pragma unroll
  for (int v = 0; v < ${String(found)}; ++v) picked.v[v] = start[v * ${args.dim(inner.strides[1]!)}${place('v')}];
${print('picked.v', found, withPicked(axes))}`
      : `  const auto* from = ${start}${place('0')};
${print('from', width, axes)}`;
  const each = Math.max(width, found);
  // Of data without elements, nothing is read.
  const empty = walk.picks.filter((p) => dimBounds(p.extent).min === 0).map((p) => `${args.dim(p.extent)} == 0`);
  const guard = empty.length > 0 ? `  if (${empty.join(' || ')}) return;\n` : '';
  const kernel = elementKernel(
    {
      name: 'gather',
      count: ceilDivDims(elementsOf(axes), each),
      number,
      body: `
${guard}  ${printCoordinates(axes, each, number, args)}
${body}`,
    },
    args,
  );
  return launchStep({ uses: ['indexing'], text: kernel.text, arguments: args, launches: [kernel.launch] });
}
