/**
 * `precision.tf32`: the float32 products that precision left may round their operands to TensorFloat-32. Said as an
 * attribute of the product, which backends with such instructions obey and all others may ignore.
 */

import {
  type Graph,
  type NameMatcher,
  nameMatcher,
  type Node,
  Rebuilder,
  type Steps,
  topologicalOrder,
} from '@tensorwright/core';
import type { Pass, PassContext } from '../../pass.js';

const products = new Set(['dot', 'conv', 'convTranspose']);

export const tensorFloat: Pass = {
  name: 'tensor-float',
  phase: 'numbers',
  run(graph: Graph, context: PassContext): Graph | Steps<Graph> {
    const { tf32, keepFloat32 } = context.options.precision ?? {};
    if (tf32 !== true) return graph;
    if (!context.backends.some((b) => b.memory !== undefined))
      context.log({ level: 'warn', message: 'precision.tf32 has no effect: only backends of devices round so' });
    return mark(graph, context, nameMatcher(keepFloat32 ?? []));
  },
};

function* mark(graph: Graph, { builder }: PassContext, kept: NameMatcher): Steps<Graph> {
  const rebuilder = new Rebuilder(builder);
  for (const node of topologicalOrder(graph)) {
    if (node.op === 'input') continue;
    yield;
    builder.origin = builder.provenance.of(node);
    const inputs = node.inputs.map((v) => v && rebuilder.value(v));
    const marked = isFloat32Product(node) && node.attributes['tf32'] !== true && !builder.origin.some(kept);
    const outputs = marked
      ? builder.node(node.op, inputs, { ...node.attributes, tf32: true })
      : rebuilder.rebuildOn(node, inputs).outputs;
    rebuilder.set(node, outputs);
  }
  builder.origin = [];
  return { inputs: graph.inputs, outputs: graph.outputs.map((v) => rebuilder.value(v)) };
}

function isFloat32Product({ op, inputs }: Node): boolean {
  const [first] = inputs;
  return products.has(op) && first?.type.kind === 'tensor' && first.type.dtype === 'float32';
}
