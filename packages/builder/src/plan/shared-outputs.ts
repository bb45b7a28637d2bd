/** Outputs that share the memory of an input, which their step changes in place: where that input may be overwritten. */

import { type Graph, type Node, usersOf, type Value } from '@tensorwright/core';
import { viewMovements } from './view.js';

/**
 * Whether nobody but this node reads `v`, or any other value that may lie in the same memory. Of an input that means the
 * program's own copy in the memory of a device: where it lies itself, it is the caller's.
 */
export type MayOverwrite = (v: Value, node: Node) => boolean;

export function overwriting(order: readonly Node[], graph: Graph): MayOverwrite {
  const users = usersOf(order);
  const outputs = new Set(graph.outputs);
  const readOnce = (v: Value, reader: Node): boolean =>
    !outputs.has(v) && users.get(v)?.length === 1 && reader.inputs.filter((x) => x === v).length === 1;
  return (v, node) => {
    let [value, reader] = [v, node];
    while (readOnce(value, reader)) {
      const { op, inputs } = value.node;
      // Operands of a concat may lie in it.
      if (op === 'concat') return inputs.every((operand) => readOnce(operand!, value.node));
      // Constants are everybody's.
      if (!viewMovements.has(op)) return op !== 'constant' && op !== 'dims';
      [value, reader] = [inputs[0]!, value.node];
    }
    return false;
  };
}
