/** Makes layers of the plugins that have some, where no backend has a kernel of theirs. */

import {
  type Backend,
  formatType,
  type Graph,
  type GraphBuilder,
  NetworkLayers,
  type Node,
  operatorOf,
  type Steps,
  TensorwrightError,
  transformGraph,
  transformSteps,
  type Value,
} from '@tensorwright/core';
import { isLastResort } from '../../place/last-resort.js';
import { mayStandFor } from './stand-in.js';

/** Plugins made of plugins made of plugins … */
const mostNested = 32;

export interface LoweringContext {
  readonly builder: GraphBuilder;
  readonly backends: readonly Backend[];
}

/** @throws ERR_PLUGIN, ERR_INVALID_MODEL where a plugin's layers are wrong */
export function* lowerPlugins(graph: Graph, context: LoweringContext): Steps<Graph> {
  let current = graph;
  for (let nested = 0; nested < mostNested; nested++) {
    const next = yield* transformSteps(current, context.builder, (node) => replacementOf(node, context));
    if (next === current) break;
    current = next;
  }
  return current;
}

function replacementOf(node: Node, context: LoweringContext): readonly Value[] | undefined {
  if (node.regions.length > 0) return withRegions(node, context);
  const { lower } = operatorOf(node.op);
  if (!lower || hasKernels(node, context.backends)) return undefined;
  const { builder } = context;
  const layers = new NetworkLayers(builder, builder.provenance.of(node)[0] ?? node.op);
  const values = lower({ layers, inputs: node.inputs, attributes: node.attributes });
  node.outputs.forEach((v, i) => {
    if (!mayStandFor(values[i]!.type, v.type))
      throw new TensorwrightError(
        'ERR_PLUGIN',
        `${node.op}: its layers give ${formatType(values[i]!.type)} for output ${String(i)}, it infers ${formatType(v.type)}`,
        { operator: node.op },
      );
  });
  return values;
}

/** Whether a backend runs it that is no last resort. */
function hasKernels(node: Node, backends: readonly Backend[]): boolean {
  return backends.some((b) => !isLastResort(b) && b.refuses(node) === undefined);
}

function withRegions(node: Node, context: LoweringContext): readonly Value[] | undefined {
  const { builder } = context;
  const regions = node.regions.map((r) => transformGraph(r, builder, (inner) => replacementOf(inner, context)));
  if (regions.every((r, i) => r === node.regions[i])) return undefined;
  // The nodes of the regions had origins of their own.
  builder.origin = builder.provenance.of(node);
  return builder.node(node.op, node.inputs, node.attributes, regions);
}
