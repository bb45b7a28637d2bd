/**
 * A node as tactics see it: the anchor, and the scalar expressions of the map nodes around it. A chain is a group of
 * groups: what only some backends run in one step.
 */

import { readNumbers } from './elements.js';
import { constantDataOf } from './evaluate.js';
import type { Graph, Node, Value } from './graph.js';
import { memo } from './memo.js';
import { operatorOf } from './operator.js';
import { topologicalOrder } from './order.js';
import { type Scalar, scalar } from './scalar.js';
import type { Tensor } from './tensor.js';
import type { TensorType } from './type.js';

export interface GroupView {
  /** The node of the graph: its inputs are the operands. */
  readonly node: Node;
  /** `node`; but of a part of a chain, the group inside it. */
  readonly own: Node;
  /** The one node of the group that is no map; undefined in map clusters, and in chains that have several. */
  readonly anchor: Node | undefined;
  /** For each input of the anchor, which operand it is; undefined where omitted, -1 where it is computed in the group. */
  readonly anchorInputs: readonly (number | undefined)[];
  readonly outputs: readonly Value[];
  /** The groups of a chain in order, seen with the chain's operands; empty for all other nodes. */
  readonly parts: readonly GroupView[];
  /** Expressions of the outputs over `arg`s: the operands in order and, after them, the anchor's outputs. */
  expressions(): readonly Scalar[];
  /** Expression over the operands of the anchor's i-th input, where that is computed in the group. */
  prologue(input: number): Scalar;
}

/** `arg` index of the anchor's output i. */
export function anchorArg(group: GroupView, output = 0): number {
  return group.node.inputs.length + output;
}

/** `arg` index, in the expressions of a part, of what other parts compute. */
export const computedArg = -1;

/** Made once for each node: a backend asks again for every question about it. */
export const viewGroup: (node: Node) => GroupView = memo((node) => {
  const members = node.op === 'group' ? membersOf(node.regions[0]!) : [];
  return members.some((n) => n.op === 'group') ? viewChain(node, members) : viewFlat(node);
});

function membersOf(region: Graph): Node[] {
  return topologicalOrder(region).filter((n) => n.op !== 'input');
}

function viewFlat(node: Node): GroupView {
  const region = node.op === 'group' ? node.regions[0]! : undefined;
  const anchors = (region ? membersOf(region) : [node]).filter((n) => operatorOf(n.op).kind !== 'map');
  const anchor = anchors.length === 1 ? anchors[0] : undefined;
  const leaves = region ? region.inputs : node.inputs;
  const compose = (wanted: readonly Value[]): readonly Scalar[] =>
    composeExpressions(node, operandScalars(node), anchor, node.inputs.length, wanted);
  return {
    node,
    own: node,
    anchor,
    anchorInputs: anchor ? anchor.inputs.map((v) => (v ? leaves.indexOf(v) : undefined)) : [],
    outputs: node.outputs,
    parts: [],
    expressions: once(() => compose(region ? region.outputs : node.outputs)),
    prologue: (input) => compose([anchor!.inputs[input]!])[0]!,
  };
}

/** A chain's groups run one after another; where only one has an anchor, the others are its prologue and epilogue. */
function viewChain(node: Node, members: readonly Node[]): GroupView {
  const region = node.regions[0]!;
  const operands = operandScalars(node);
  const parts = members.map((member) => viewPart(node, member, operands));
  const anchored = parts.filter((p) => p.anchor);
  const main = anchored.length === 1 ? anchored[0] : undefined;
  /** Scalars of the values of the chain's region. */
  const compose = once((): ReadonlyMap<Value, Scalar> => {
    const known = new Map<Value, Scalar>();
    region.inputs.forEach((v, i) => operands[i] && known.set(v, operands[i]));
    for (const member of members) {
      const inputs = member.inputs.map((v) => v && known.get(v));
      const { anchor } = viewGroup(member);
      const wanted = member.op === 'group' ? member.regions[0]!.outputs : member.outputs;
      const results = composeExpressions(member, inputs, anchor, node.inputs.length, wanted);
      member.outputs.forEach((v, i) => known.set(v, results[i]!));
    }
    return known;
  });
  return {
    node,
    own: node,
    anchor: main?.anchor,
    anchorInputs: main?.anchorInputs ?? [],
    outputs: node.outputs,
    parts,
    expressions: () => {
      const known = compose();
      return region.outputs.map((v) => known.get(v)!);
    },
    prologue: (input) => {
      const known = compose();
      const scalars = main!.own.inputs.map((v) => v && known.get(v));
      return composeExpressions(main!.own, scalars, main!.anchor, node.inputs.length, [
        main!.anchor!.inputs[input]!,
      ])[0]!;
    },
  };
}

function viewPart(chain: Node, member: Node, operands: readonly (Scalar | undefined)[]): GroupView {
  const flat = viewGroup(member);
  const region = chain.regions[0]!;
  const operandOf = (v: Value | undefined): number => (v ? region.inputs.indexOf(v) : -1);
  const scalars = member.inputs.map((v) => {
    if (!typed(v)) return undefined;
    return operands[operandOf(v)] ?? scalar.arg(computedArg, v.type.dtype);
  });
  const compose = (wanted: readonly Value[]): readonly Scalar[] =>
    composeExpressions(member, scalars, flat.anchor, chain.inputs.length, wanted);
  return {
    node: chain,
    own: member,
    anchor: flat.anchor,
    anchorInputs: flat.anchorInputs.map((i) => (i === undefined ? undefined : operandOf(member.inputs[i]))),
    outputs: member.outputs,
    parts: [],
    expressions: once(() => compose(member.op === 'group' ? member.regions[0]!.outputs : member.outputs)),
    prologue: (input) => compose([flat.anchor!.inputs[input]!])[0]!,
  };
}

/** Tactics ask again for each of their candidates. */
function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

function typed(v: Value | undefined): v is Value & { type: TensorType } {
  return v?.type.kind === 'tensor';
}

/** What the operands are to expressions: literals, or `arg`s; undefined for what is no tensor. */
function operandScalars(node: Node): (Scalar | undefined)[] {
  return node.inputs.map((v, i) => (typed(v) ? (literalOf(v) ?? scalar.arg(i, v.type.dtype)) : undefined));
}

/** Expressions of values of a node's region (or of the node itself) over its inputs' and, from `first` on, its anchor's. */
function composeExpressions(
  node: Node,
  inputs: readonly (Scalar | undefined)[],
  anchor: Node | undefined,
  first: number,
  wanted: readonly Value[],
): readonly Scalar[] {
  const region = node.op === 'group' ? node.regions[0]! : undefined;
  const memo = new Map<Value, Scalar>();
  (region ? region.inputs : node.inputs).forEach((v, i) => {
    const known = inputs[i];
    if (v && known) memo.set(v, known);
  });
  for (const n of region ? topologicalOrder(region) : [node]) {
    if (n.op === 'input') continue;
    if (n === anchor) {
      n.outputs.forEach((v, i) => memo.set(v, scalar.arg(first + i, (v.type as TensorType).dtype)));
      continue;
    }
    const args = n.inputs.map((v) => memo.get(v!)!);
    const out = n.outputs[0]!;
    memo.set(out, operatorOf(n.op).scalar!(args, n.attributes, (out.type as TensorType).dtype));
  }
  return wanted.map((v) => memo.get(v)!);
}

/** Single-element constants are literals of the expression, no operands. */
function literalOf(v: Value | undefined): Scalar | undefined {
  const constant = constantDataOf(v);
  if (constant?.dims.every((d) => d === 1) !== true || constant.dtype === 'string') return undefined;
  const value = elementOf(constant.tensor);
  return value === undefined ? undefined : scalar.constant(value, constant.dtype);
}

function elementOf(t: Tensor): number | bigint | undefined {
  if (t.dtype === 'int64' || t.dtype === 'uint64') return (t.data as BigInt64Array)[0];
  if (t.dtype === 'complex64' || t.dtype === 'complex128') return undefined;
  return readNumbers(t)[0];
}
