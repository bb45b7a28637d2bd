/** unique: one block sorts the positions of the elements (or slices) and numbers the different ones. */

import {
  addDims,
  type Dim,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  mulDims,
  productOf,
  type ScratchMemory,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { countedStep, extentsMemory } from '../../launch/counted-step.js';
import { launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, coordinates, elementKernel, names, type TextOperand } from './element-kernel.js';
import { operatorTactic, ownExtents } from './operator-tactic.js';

const threads = 1024;

interface Problem {
  readonly group: GroupView;
  readonly context: EmitContext;
  /** Undefined: all elements in a row. */
  readonly axis: number | undefined;
  /** How many elements, or slices, are compared. */
  readonly length: Dim;
  /** `order`, `first`, `starts`, `inverse`, `number` of UniqueMemory. */
  readonly memory: readonly ScratchMemory[];
}

export const unique: Tactic = operatorTactic({
  name: 'unique',
  operators: ['unique'],
  counts: true,
  refuses: (group) => {
    const { type } = group.anchor!.inputs[0]!;
    const large = type.kind === 'tensor' && type.dims && dimBounds(productOf(type.dims)).max > 2 ** 30;
    return large === true ? 'more elements than one block sorts' : undefined;
  },
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const { dims } = context.view(group.anchorInputs[0]!)!;
    const given = group.anchor!.attributes['axis'] as number | undefined;
    const axis = given === undefined ? undefined : (given + dims.length) % dims.length;
    const length = axis === undefined ? productOf(dims) : dims[axis]!;
    const room = addDims(length, 1);
    const order: ScratchMemory = { dtype: 'int32', dims: [mulDims(room, 2)] };
    const others = Array.from({ length: 4 }, (): ScratchMemory => ({ dtype: 'int32', dims: [room] }));
    const problem: Problem = { group, context, axis, length, memory: [order, ...others] };
    const extents = extentsMemory([0]);
    return countedStep({
      group,
      context,
      extents: ownExtents(group),
      extentsMemory: extents,
      count: count(problem, extents),
      write: write(problem),
    });
  },
});

/** Coordinates of element `j` of the slice at `i`, and that element. */
function element(x: TextOperand, axis: number | undefined, number: 'i32' | 'i64', args: Arguments): string {
  const { dims } = x.view;
  const rank = dims.length;
  if (axis === undefined)
    return `${coordinates(dims, 'rows', number, args, { linear: 'i' })}\n    return ${x.at(names('c', rank))};`;
  const rest = dims.map((d, k) => (k === axis ? 1 : d));
  const at = names('c', rank).toSpliced(axis, 1, 'i');
  return `${coordinates(rest, 'rows', number, args, { linear: 'j' })}\n    return ${x.at(at)};`;
}

function count(
  { group, context, axis, length, memory }: Problem,
  extents: ScratchMemory,
): Parameters<typeof countedStep>[0]['count'] {
  const args = new Arguments();
  const x = new AnchorOperands(group, context, args).input(0);
  const number = indexType(x.view);
  const slice = axis === undefined ? 1 : productOf(x.view.dims.map((d, k) => (k === axis ? 1 : d)));
  const places = memory.map((m, k) => args.scratch(m, k === 0 ? 'u32' : 'i32'));
  const text = `
extern "C" __global__ void __launch_bounds__(${String(threads)}) number(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const auto element = [&]([[maybe_unused]] ${number} i, [[maybe_unused]] ${number} j) {
${element(x, axis, number, args)}
  };
  const auto compare = [&](u32 u, u32 v) {
    for (${number} j = 0; j < ${args.dim(slice)}; ++j) {
      const auto p = rising_key(element(u, j)), q = rising_key(element(v, j));
      if (p != q) return p < q ? -1 : 1;
    }
    return 0;
  };
  const i32 groups = find_unique<${String(threads)}>(
      {${places.join(', ')}}, ${args.dim(length)}, ${String(group.anchor!.attributes['sorted'] === true)}, compare);
  if (threadIdx.x == 0) *${args.scratch(extents, 'i64')} = groups;
}
`;
  return {
    uses: ['sort', 'select', 'unique'],
    text,
    arguments: args,
    launches: [{ function: 'number', grid: [1, 1, 1], block: [threads, 1, 1] }],
    writes: [...memory, extents],
  };
}

function write({ group, context, axis, length, memory }: Problem): Promise<EmittedStep> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y, indices, inverse, counts] = [operands.input(0), ...[0, 1, 2, 3].map((k) => operands.output(k))] as [
    TextOperand,
    TextOperand,
    TextOperand,
    TextOperand,
    TextOperand,
  ];
  const number = indexType(x.view, y.view);
  const [, first, starts, numbers, renumbered] = memory.map((m) => args.scratch(m, 'i32'));
  // What is found by order goes where its number says.
  const groups = elementKernel(
    {
      name: 'write_groups',
      count: indices.view.dims[0]!,
      number,
      body: `  const ${number} to = ${renumbered!}[i];
  ${indices.at(['to'])} = ${first!}[i];
  ${counts.at(['to'])} = ${starts!}[i + 1] - ${starts!}[i];`,
    },
    args,
  );
  const each = elementKernel(
    { name: 'write_inverse', count: length, number, body: `  ${inverse.at(['i'])} = ${renumbered!}[${numbers!}[i]];` },
    args,
  );
  const { dims } = y.view;
  const along = axis ?? 0;
  const c = names('c', dims.length);
  const source = axis === undefined ? 'i' : `c${String(along)}`;
  const values = elementKernel(
    {
      name: 'write_values',
      count: productOf(dims),
      number,
      body:
        axis === undefined
          ? `  const ${number} from = ${first!}[${source}];
${coordinates(x.view.dims, 'rows', number, args, { linear: 'from', letter: 'x' })}
  ${y.at([`${number}(${renumbered!}[i])`])} = ${x.at(names('x', x.view.dims.length))};`
          : `${coordinates(dims, 'rows', number, args)}
  const ${number} from = ${first!}[${source}], to = ${renumbered!}[${source}];
  ${y.at(c.toSpliced(along, 1, 'to'))} = ${x.at(c.toSpliced(along, 1, 'from'))};`,
    },
    args,
  );
  const kernels = [groups, each, values];
  return launchStep({
    text: kernels.map((k) => k.text).join('\n'),
    arguments: args,
    launches: kernels.map((k) => k.launch),
    outputs: 4,
  });
}
