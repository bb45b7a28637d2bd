/** A node as a timing problem: its structure at the optimal extents, with constants reduced to their types. */

import {
  type Dim,
  type DimSymbol,
  type Node,
  serializeOperator,
  substituteSymbols,
  type GraphBuilder,
  type Graph,
  type Value,
  viewGroup,
} from '@tensorwright/core';
import type { Problem } from './timing-cache.js';

/** The node alone on inputs of its own, every extent a number; undefined where an extent has no known optimum. */
export interface StandAlone {
  readonly graph: Graph;
  readonly node: Node;
}

export function standAlone(
  node: Node,
  builder: GraphBuilder,
  optimum: ReadonlyMap<DimSymbol, number>,
): StandAlone | undefined {
  const inputs: Value[] = [];
  const operands = node.inputs.map((v, i) => {
    if (!v || v.node.op === 'constant' || v.node.op === 'dims') return v;
    const input = builder.input(`input${String(i)}`, v.type);
    inputs.push(input);
    return input;
  });
  const outputs = builder.node(node.op, operands, node.attributes, node.regions);
  const graph = substituteSymbols({ inputs, outputs }, builder, new Map<DimSymbol, Dim>(optimum));
  const known = graph.inputs
    .concat(graph.outputs)
    .every((v) => v.type.kind === 'tensor' && v.type.dims?.every((d) => typeof d === 'number'));
  return known ? { graph, node: graph.outputs[0]!.node } : undefined;
}

/** @param cold whether the device's cache does not hold its constants when it runs */
export function problemOf({ node }: StandAlone, cold: boolean): Problem {
  const operator = serializeOperator(node, {
    symbol: () => 0,
    constant: (data) => ({ dtype: data.dtype, dims: data.dims }),
  });
  const constants = node.inputs.map((v) => v?.node.op === 'constant');
  return { operator, constants, ...(cold && constants.includes(true) && { coldConstants: true }) };
}

/** A group of groups. */
export function isChain(node: Node): boolean {
  return viewGroup(node).parts.length > 0;
}
