/** A group taken apart: the nodes of its region, on its operands. */

import { type GraphBuilder, type Node, topologicalOrder, type Value } from '@tensorwright/core';

export interface Dissolved {
  /** In the order of the region. */
  readonly members: readonly Node[];
  /** What the members compute of the group's outputs. */
  readonly outputs: readonly Value[];
}

export function dissolve(group: Node, builder: GraphBuilder): Dissolved {
  const region = group.regions[0]!;
  const values = new Map<Value, Value>();
  region.inputs.forEach((v, i) => values.set(v, group.inputs[i]!));
  const members: Node[] = [];
  for (const node of topologicalOrder(region)) {
    if (node.op === 'input') continue;
    const outputs = builder.node(
      node.op,
      node.inputs.map((v) => v && values.get(v)!),
      node.attributes,
      node.regions,
    );
    node.outputs.forEach((v, i) => values.set(v, outputs[i]!));
    members.push(outputs[0]!.node);
  }
  return { members, outputs: region.outputs.map((v) => values.get(v)!) };
}
