/** A node as tactics see it: the anchor, and the scalar expressions of the map nodes around it. */

import { readNumbers } from './elements.js';
import { constantDataOf } from './evaluate.js';
import type { Graph, Node, Value } from './graph.js';
import { operatorOf } from './operator.js';
import { topologicalOrder } from './order.js';
import { type Scalar, scalar } from './scalar.js';
import type { Tensor } from './tensor.js';
import type { TensorType } from './type.js';

export interface GroupView {
  /** The node of the graph: its inputs are the operands. */
  readonly node: Node;
  /** The one node of the group that is no map; undefined in map clusters. */
  readonly anchor: Node | undefined;
  /** For each input of the anchor, which operand it is; undefined where omitted, -1 where it is computed in the group. */
  readonly anchorInputs: readonly (number | undefined)[];
  readonly outputs: readonly Value[];
  /** Expressions of the outputs over `arg`s: the operands in order and, after them, the anchor's outputs. */
  expressions(): readonly Scalar[];
}

/** `arg` index of the anchor's output i. */
export function anchorArg(group: GroupView, output = 0): number {
  return group.node.inputs.length + output;
}

const views = new WeakMap<Node, GroupView>();

/** Made once for each node: a backend asks again for every question about it. */
export function viewGroup(node: Node): GroupView {
  let view = views.get(node);
  if (!view) views.set(node, (view = makeView(node)));
  return view;
}

function makeView(node: Node): GroupView {
  const region = node.op === 'group' ? node.regions[0]! : undefined;
  const inner = region ? topologicalOrder(region).filter((n) => n.op !== 'input') : [node];
  const anchors = inner.filter((n) => operatorOf(n.op).kind !== 'map');
  const anchor = anchors.length === 1 ? anchors[0] : undefined;
  const operandOf = (v: Value | undefined): number | undefined => {
    if (!v) return undefined;
    return region ? region.inputs.indexOf(v) : node.inputs.indexOf(v);
  };
  return {
    node,
    anchor,
    anchorInputs: anchor
      ? region
        ? anchor.inputs.map(operandOf)
        : anchor.inputs.map((v, i) => (v ? i : undefined))
      : [],
    outputs: node.outputs,
    expressions: () => composeExpressions(node, region, anchor),
  };
}

function composeExpressions(node: Node, region: Graph | undefined, anchor: Node | undefined): readonly Scalar[] {
  const memo = new Map<Value, Scalar>();
  const leaves = region ? region.inputs : node.inputs;
  leaves.forEach((v, i) => {
    if (v?.type.kind !== 'tensor') return;
    memo.set(v, literalOf(node.inputs[i]) ?? scalar.arg(i, v.type.dtype));
  });
  const order = region ? topologicalOrder(region) : [node];
  for (const n of order) {
    if (n.op === 'input') continue;
    if (n === anchor) {
      n.outputs.forEach((v, i) => memo.set(v, scalar.arg(node.inputs.length + i, (v.type as TensorType).dtype)));
      continue;
    }
    const args = n.inputs.map((v) => memo.get(v!)!);
    const out = n.outputs[0]!;
    memo.set(out, operatorOf(n.op).scalar!(args, n.attributes, (out.type as TensorType).dtype));
  }
  const outputs = region ? region.outputs : node.outputs;
  return outputs.map((v) => memo.get(v)!);
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
