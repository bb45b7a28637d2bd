/** Whether a network's constants are found in the device's cache from one run to the next. */

import { type Backend, byteLength, type Graph, type Node, productOf, topologicalOrder } from '@tensorwright/core';

/** Bytes of all constants, those in the bodies of control nodes too. */
function constantBytes(graph: Graph, seen = new Set<Node>()): number {
  let bytes = 0;
  for (const node of topologicalOrder(graph)) {
    if (seen.has(node)) continue;
    seen.add(node);
    const type = node.op === 'constant' ? node.outputs[0]!.type : undefined;
    if (type?.kind === 'tensor') bytes += byteLength(type.dtype, productOf(type.dims!) as number);
    for (const region of node.regions) bytes += constantBytes(region, seen);
  }
  return bytes;
}

/**
 * Of constants that are only a little larger than the cache, most are still found in it, whatever it replaces: of 57 MB
 * on an H200, whose cache has 50, networks ran slower with what was fastest on constants from memory.
 */
const least = 1.5;

export function areConstantsCold(graph: Graph, backends: readonly Backend[]): boolean {
  const bytes = constantBytes(graph);
  return backends.some((b) => bytes > (b.device()?.cacheBytes ?? Infinity) * least);
}
