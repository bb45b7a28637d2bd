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
  /** Operands of a concat may lie in it, and theirs too where they are concats. */
  const readsAllOnce = (concat: Node): boolean => {
    const concats = [concat];
    for (const node of concats)
      for (const operand of node.inputs as readonly Value[]) {
        if (!readOnce(operand, node)) return false;
        if (operand.node.op === 'concat') concats.push(operand.node);
      }
    return true;
  };
  return (v, node) => {
    let [value, reader] = [v, node];
    while (readOnce(value, reader)) {
      const { op, inputs } = value.node;
      if (op === 'concat') return readsAllOnce(value.node);
      // Constants are everybody's.
      if (!viewMovements.has(op)) return op !== 'constant' && op !== 'dims';
      [value, reader] = [inputs[0]!, value.node];
    }
    return false;
  };
}
