/**
 * The graph: immutable SSA. A `Node` is a frozen record, a `Value` one of its outputs, a `Graph` a list of inputs
 * and outputs; order, users and liveness are derived. Nodes are hash-consed by the `GraphBuilder` that makes them:
 * the same operator on the same inputs with the same attributes is the same object, so equality is identity.
 * Provenance (which nodes of the user's model) is a side table, never part of identity.
 */

import type { ConstantData } from './constant.js';
import type { Dim } from './dim.js';
import type { Type } from './type.js';

export type AttributeValue =
  number | string | boolean | readonly number[] | readonly string[] | Dim | readonly Dim[] | ConstantData | Type;

export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

export interface Value {
  readonly node: Node;
  readonly index: number;
  readonly type: Type;
}

export interface Node {
  readonly id: number;
  readonly op: string;
  /** undefined: an omitted optional input. */
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: Attributes;
  readonly outputs: readonly Value[];
  /** Bodies of control operators and groups. Captures are explicit inputs of the node. */
  readonly regions: readonly Graph[];
}

export interface Graph {
  /** Values of `input` nodes. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** Consumers of every value, in topological order; the graph's outputs are not counted. */
export function usersOf(order: readonly Node[]): Map<Value, Node[]> {
  const users = new Map<Value, Node[]>();
  for (const node of order) {
    for (const input of new Set(node.inputs)) {
      if (!input) continue;
      const list = users.get(input);
      if (list) list.push(node);
      else users.set(input, [node]);
    }
  }
  return users;
}
