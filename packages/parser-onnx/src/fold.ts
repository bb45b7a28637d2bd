/** Constants behind small computations: importers that need a value at build time look through casts, concats and the like. */

import {
  type ConstantData,
  type Dim,
  elementCount,
  evaluateNode,
  inferFacts,
  isBig,
  type Node,
  operatorOf,
  Tensor,
  tensorOf,
  type Value,
} from '@tensorwright/core';

const maxElements = 4096;
const maxNodes = 256;

/** The value when it is a constant, or a small computation on constants. */
export function constantValue(value: Value): Tensor | undefined {
  if (value.node.op === 'constant') return (value.node.attributes['data'] as ConstantData).tensor;
  if (value.type.kind !== 'tensor' || !isSmall(value)) return undefined;
  const fact = inferFacts(value);
  if (fact?.every((d) => typeof d === 'number') && value.type.dims?.every((d) => typeof d === 'number')) {
    const { dtype } = value.type;
    const values = isBig(dtype) ? fact.map(BigInt) : fact;
    return tensorOf(dtype, values as number[], value.type.dims);
  }
  const nodes = constantNodes(value.node);
  return nodes && evaluate(nodes, value);
}

function isSmall(value: Value): boolean {
  const { type } = value;
  return (
    type.kind === 'tensor' &&
    type.dims?.every((d) => typeof d === 'number') === true &&
    elementCount(type.dims) <= maxElements
  );
}

/** The nodes behind `root`, producers first, when all of them can be evaluated now and are few and small. */
function constantNodes(root: Node): Node[] | undefined {
  const order: Node[] = [];
  const done = new Set<Node>();
  const stack = [{ node: root, next: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const { node } = top;
    if (top.next === 0) {
      if (
        node.op === 'input' ||
        (node.op === 'dims' && !isNumeric(node)) ||
        node.regions.length > 0 ||
        operatorOf(node.op).stateful === true
      )
        return undefined;
      if (!node.outputs.every(isSmall) || done.size > maxNodes) return undefined;
    }
    const input = node.inputs[top.next++];
    if (input) {
      if (!done.has(input.node)) stack.push({ node: input.node, next: 0 });
    } else if (top.next > node.inputs.length) {
      stack.pop();
      if (!done.has(node)) {
        done.add(node);
        order.push(node);
      }
    }
    if (stack.length > maxNodes) return undefined;
  }
  return order;
}

function isNumeric(node: Node): boolean {
  return (node.attributes['values'] as readonly Dim[]).every((d) => typeof d === 'number');
}

function evaluate(nodes: readonly Node[], wanted: Value): Tensor | undefined {
  const values = new Map<Value, ReturnType<typeof evaluateNode>[number]>();
  try {
    for (const node of nodes) {
      const results = evaluateNode(
        node,
        node.inputs.map((v) => v && values.get(v)),
      );
      node.outputs.forEach((o, i) => values.set(o, results[i]!));
    }
  } catch {
    // Not computable now: a run reports it with its place.
    return undefined;
  }
  const result = values.get(wanted);
  return result instanceof Tensor ? result : undefined;
}
