/** Steps of operators whose small integer inputs decide the extents: one thread computes them on the device. */

import {
  asSymbol,
  constantOf,
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  inferFacts,
  type Node,
  type ScratchMemory,
  type Value,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { countedStep, extentsMemory } from '../../launch/counted-step.js';
import { AnchorOperands } from './element-kernel.js';
import { ownExtents } from './operator-tactic.js';

export interface CountedShape {
  readonly group: GroupView;
  readonly context: EmitContext;
  /**
   * C++ statements that fill `i64 dims[]` with the extents of the first output. They set `bool valid` to false where
   * the inputs do not fit each other, and may fill `i64 parameters[]` for the kernels that follow.
   */
  readonly shape: (operands: AnchorOperands, args: Arguments, anchor: Node) => string;
  /**
   * The anchor's inputs whose values decide: of those that only the run knows, it checks that they fit, also where all
   * extents are known. Default: the second.
   */
  readonly decidedBy?: readonly number[];
  /** Length of `parameters`. Default: 0. */
  readonly parameters?: number;
  /** Library files that the statements use. */
  readonly uses?: readonly string[];
  /** The step that writes the outputs. @param parameters filled before it */
  readonly write: (parameters: ScratchMemory) => Promise<EmittedStep>;
}

export async function countedShape(c: CountedShape): Promise<EmittedStep> {
  const { group, context } = c;
  const extents = ownExtents(group);
  const parameters: ScratchMemory = { dtype: 'int64', dims: [Math.max(c.parameters ?? 0, 1)] };
  const checked = extents.length > 0 || (c.decidedBy ?? [1]).some((i) => onlyRunKnows(group, i));
  if (!checked && c.parameters === undefined) return c.write(parameters);
  const memory = extentsMemory(extents);
  const args = new Arguments();
  const y = context.outputView(0)!;
  const statements = c.shape(new AnchorOperands(group, context, args), args, group.anchor!);
  const isOwn = (d: Dim): boolean => extents.some((e) => asSymbol(e) === asSymbol(d) && asSymbol(d) !== undefined);
  const checks = y.dims.flatMap((d, axis) =>
    isOwn(d) ? [] : [`  valid = valid && dims[${String(axis)}] == ${args.dim(d)};`],
  );
  const found = extents.map((e) => `dims[${String(y.dims.findIndex((d) => asSymbol(d) === asSymbol(e)))}]`);
  if (checked && found.length === 0) found.push('0');
  const stores = found.map((d, k) => `  ${args.scratch(memory, 'i64')}[${String(k)}] = valid ? ${d} : -1;`);
  const text = `
extern "C" __global__ void __launch_bounds__(32) shape(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  if (threadIdx.x != 0) return;
  i64 dims[${String(Math.max(y.dims.length, 1))}];
  bool valid = true;
  [[maybe_unused]] i64* const parameters = ${args.scratch(parameters, 'i64')};
${statements}
${checks.join('\n')}
${stores.join('\n')}
}
`;
  return countedStep({
    group,
    context,
    extents,
    ...(checked && { extentsMemory: memory }),
    count: {
      text,
      arguments: args,
      launches: [{ function: 'shape', grid: [1, 1, 1], block: [32, 1, 1] }],
      writes: checked ? [parameters, memory] : [parameters],
      ...(c.uses && { uses: c.uses }),
    },
    write: c.write(parameters),
  });
}

/** Of the anchor's input; what a region is given is known outside. */
function onlyRunKnows({ node, anchor, anchorInputs }: GroupView, input: number): boolean {
  const known = (v: Value | undefined): boolean =>
    v !== undefined && (constantOf(v) !== undefined || inferFacts(v) !== undefined);
  const v = anchor!.inputs[input];
  return v !== undefined && !known(v) && !known(node.inputs[anchorInputs[input]!]);
}

/** `const i64 NAME[] = {…};` of the elements of an integer vector (or scalar) of known length. */
export function integerList(name: string, operands: AnchorOperands, input: number): string {
  const operand = operands.input(input);
  const length = lengthOf(operands, input);
  const elements = Array.from({ length }, (_, k) => {
    const at = operand.view.dims.length === 0 ? [] : [String(k)];
    return `convert<i64>(${operand.at(at)})`;
  });
  return i64List(name, elements);
}

/** Of a vector whose length is known at build time. */
export function lengthOf(operands: AnchorOperands, input: number): number {
  const { dims } = operands.input(input).view;
  return dims.length === 0 ? 1 : (dims[0] as number);
}

/** `const i64 NAME[] = {…};` of the extents. */
export function dimList(name: string, dims: readonly Dim[], args: Arguments): string {
  return i64List(
    name,
    dims.map((d) => `i64(${args.dim(d)})`),
  );
}

function i64List(name: string, elements: readonly string[]): string {
  // No list is empty in C++.
  return `  [[maybe_unused]] const i64 ${name}[] = {${[...elements, '0'].join(', ')}};`;
}

/** Why the shape cannot be computed: a vector among these inputs whose length only the run knows. */
export function refuseLengths(group: GroupView, inputs: readonly number[]): string | undefined {
  for (const i of inputs) {
    const type = group.anchor!.inputs[i]?.type;
    if (type?.kind !== 'tensor') continue;
    if (type.dims === undefined || type.dims.length > 1 || type.dims.some((d) => typeof d !== 'number'))
      return 'the length of a shape is only known at run time';
  }
  return undefined;
}
