/** The generated half of the attention kernels: a struct `Problem` with sizes, options and where the operands lie. */

import {
  type Dim,
  dimBounds,
  type EmitContext,
  exactQuotient,
  type GroupView,
  type MemoryView,
  minDims,
  mulDims,
  provablyDivisible,
  provablyEqual,
  subDims,
} from '@tensorwright/core';
import type { Arguments } from '../launch/arguments.js';
import { cxxType } from '../print/types.js';
import { dtypeOf } from './operands.js';

export interface ProblemOptions {
  readonly packed: boolean;
  readonly splits: number;
  /** C++ expressions of the scratch memory for split keys. */
  readonly states: string;
  readonly values: string;
}

/** Where an operator has its optional operands: attention after v, attentionScores after k. */
function places(group: GroupView): { mask: number; limit: number; offset: number; sinks: number } {
  const mask = group.anchor!.op === 'attention' ? 3 : 2;
  return { mask, limit: mask + 1, offset: mask + 2, sinks: mask + 3 };
}

export function attentionProblem(
  group: GroupView,
  context: EmitContext,
  args: Arguments,
  options: ProblemOptions,
): string {
  const { attributes, inputs } = group.anchor!;
  const number = (name: string): number => attributes[name] as number;
  const type = cxxType(dtypeOf(group.outputs[0])!);
  const view = (i: number): MemoryView => context.view(group.anchorInputs[i]!)!;
  const [q, k] = [view(0), view(1)];
  const v = group.anchor!.op === 'attention' ? view(2) : undefined;
  const [, heads, queries, size] = q.dims as [Dim, Dim, Dim, number];
  const [, keyHeads, keys] = k.dims as [Dim, Dim, Dim];
  const valueSize = v ? (v.dims[3] as number) : 0;
  const pointer = (i: number, name: string): string => args.input(group.anchorInputs[i]!, name);
  const output = context.outputView(0)!;
  const operands: readonly (readonly [string, string, MemoryView, boolean])[] = [
    ['q', pointer(0, type), q, true],
    ['k', pointer(1, type), k, true],
    ...(v ? [['v', pointer(2, type), v, true] as const] : []),
    ['o', args.output(0, type), output, false],
  ];
  const scale = (attributes['scale'] as number | undefined) ?? 1 / Math.sqrt(size);
  const at = places(group).mask;
  const mask = inputs[at] ? maskOf(view(at), heads, queries, attributes['masksInTurn'] === true) : undefined;
  const maskType = mask && cxxType(dtypeOf(inputs[at])!);
  const lines = [
    `using Index = ${fits([...operands.map((o) => o[2]), ...(mask ? [mask.view] : [])]) ? 'i32' : 'i64'};`,
    `using T = ${type};`,
    `static constexpr int size = ${String(size)}, value_size = ${String(valueSize)};`,
    `static constexpr bool packed = ${String(options.packed)};`,
    `static constexpr f32 scale = f32(${String(scale)}), softcap = f32(${String(number('softcap'))});`,
    `static constexpr bool causal = ${String(attributes['isCausal'] === true)};`,
    `static constexpr int left = ${String(number('leftWindow'))}, right = ${String(number('rightWindow'))};`,
    'const Arguments& a;',
    method('Index queries()', args.dim(queries)),
    method('Index keys()', args.dim(keys)),
    method('Index group()', args.dim(exactQuotient(heads, keyHeads)!)),
    method('int splits()', String(options.splits)),
    method('f32* partial_states()', options.states),
    method('f32* partial_values()', options.values),
    ...operands.flatMap(([name, at, lies, constant]) => printOperand(name, at, lies, constant, type, args)),
    ...printOffset(group, context, args),
    ...printLimit(group, context, args),
    ...printSinks(group, context, args),
    ...printMask(mask, maskType, maskType && pointer(at, maskType), args),
  ];
  return `\nstruct Problem {\n${lines.map((l) => `  ${l}\n`).join('')}};\n`;
}

function method(head: string, value: string): string {
  return `TW_DEVICE ${head} const { return ${value}; }`;
}

function fits(views: readonly MemoryView[]): boolean {
  return views.every((view) => {
    const reach = view.dims.reduce<number>((sum, d, i) => {
      const { min, max } = dimBounds(mulDims(d, view.strides[i]!));
      return sum + Math.max(Math.abs(min), Math.abs(max));
    }, 0);
    return reach < 2 ** 30;
  });
}

function printOperand(
  name: string,
  pointer: string,
  view: MemoryView,
  constant: boolean,
  type: string,
  args: Arguments,
): string[] {
  const [batch, head, row, column] = view.strides.map((s, i) => (view.dims[i] === 1 ? 0 : s)) as [Dim, Dim, Dim, Dim];
  const width = type === 'f32' ? 4 : 8;
  const whole =
    (column === 1 || view.dims[3] === 1) &&
    [view.dims[3]!, view.offset, batch, head, row].every((d) => provablyDivisible(d, width));
  return [
    `static constexpr bool ${name}_vector = ${String(whole)};`,
    `TW_DEVICE ${constant ? 'const ' : ''}T* ${name}(Index b, Index h) const { return ${pointer} + b * ${args.dim(batch)} + h * ${args.dim(head)}; }`,
    method(`Index ${name}_row()`, args.dim(row)),
    method(`Index ${name}_column()`, args.dim(column)),
  ];
}

/** The position of query 0. */
function printOffset(group: GroupView, context: EmitContext, args: Arguments): string[] {
  const { attributes } = group.anchor!;
  const at = places(group).offset;
  if (!group.anchor!.inputs[at])
    return [`TW_DEVICE Index offset(Index) const { return ${args.dim(attributes['causalOffset'] as Dim)}; }`];
  return [`TW_DEVICE Index offset(Index b) const { return static_cast<Index>(${element(group, context, args, at)}); }`];
}

function printLimit(group: GroupView, context: EmitContext, args: Arguments): string[] {
  const at = places(group).limit;
  const limited = group.anchor!.inputs[at] !== undefined;
  return [
    `static constexpr bool limited = ${String(limited)};`,
    ...(limited
      ? [`TW_DEVICE Index limit(Index b) const { return static_cast<Index>(${element(group, context, args, at)}); }`]
      : []),
  ];
}

function printSinks(group: GroupView, context: EmitContext, args: Arguments): string[] {
  const at = places(group).sinks;
  const sinks = group.anchor!.inputs[at] !== undefined;
  return [
    `static constexpr bool sinks = ${String(sinks)};`,
    ...(sinks
      ? [`TW_DEVICE f32 sink(Index b) const { return convert<f32>(${element(group, context, args, at)}); }`]
      : []),
  ];
}

/** Element `b` of an operand of one axis. */
function element(group: GroupView, context: EmitContext, args: Arguments, input: number): string {
  const index = group.anchorInputs[input]!;
  const { strides, dims } = context.view(index)!;
  const pointer = args.input(index, cxxType(dtypeOf(group.node.inputs[index])!));
  return `${pointer}[b * ${args.dim(dims[0] === 1 ? 0 : strides[0]!)}]`;
}

interface Mask {
  readonly view: MemoryView;
  /** Over [batch, heads, queries, keys], 0 where it is broadcast. */
  readonly strides: readonly [Dim, Dim, Dim, Dim];
  /** Keys that it knows. */
  readonly width: Dim;
  readonly pairs: boolean;
  /** How many serve the batches in turn; undefined: each batch has its own. */
  readonly turns: Dim | undefined;
}

function maskOf(view: MemoryView, heads: Dim, queries: Dim, inTurn: boolean): Mask {
  const lead = 4 - view.dims.length;
  const at = (axis: number): readonly [Dim, Dim] =>
    axis < lead ? [1, 0] : [view.dims[axis - lead]!, view.strides[axis - lead]!];
  const wanted = [undefined, heads, queries];
  const strides = [0, 1, 2, 3].map((axis): Dim => {
    const [extent, stride] = at(axis);
    if (axis === 3 || stride === 0) return stride;
    if (extent === 1) return 0;
    const known =
      typeof extent === 'number' ||
      (axis === 0 && inTurn) ||
      (wanted[axis] !== undefined && provablyEqual(extent, wanted[axis]));
    // An extent that may turn out to be 1 is broadcast then.
    return known ? stride : mulDims(stride, minDims(subDims(extent, 1), 1));
  }) as [Dim, Dim, Dim, Dim];
  const width = at(3)[0];
  const pairs =
    strides[3] === 1 && [width, view.offset, strides[0], strides[1], strides[2]].every((d) => provablyDivisible(d, 2));
  return { view, strides, width, pairs, turns: inTurn ? at(0)[0] : undefined };
}

function printMask(
  mask: Mask | undefined,
  type: string | undefined,
  pointer: string | undefined,
  args: Arguments,
): string[] {
  if (!mask) return ['static constexpr bool masked = false, mask_by_query = false, mask_by_pairs = false;'];
  const [batch, head, row, column] = mask.strides;
  const turn = mask.turns === undefined || mask.turns === 1 ? 'b' : `b % static_cast<Index>(${args.dim(mask.turns)})`;
  return [
    `static constexpr bool masked = true, mask_by_query = ${String(row !== 0)}, mask_by_pairs = ${String(mask.pairs)};`,
    `using M = ${type!};`,
    method('const M* mask()', pointer!),
    `TW_DEVICE Index mask_head(Index b, Index h) const { return (${turn}) * ${args.dim(batch)} + h * ${args.dim(head)}; }`,
    method('Index mask_row()', args.dim(row)),
    method('Index mask_column()', args.dim(column)),
    method('Index mask_width()', args.dim(mask.width)),
  ];
}
