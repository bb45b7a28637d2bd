/**
 * Fusion groups by one algorithm over operator kinds: seeds in order of weight (contraction, reduce, window, map),
 * each absorbing the map nodes that follow it; what is left of the maps forms clusters of their own.
 */

import {
  cudaKernelsFor,
  dimsKey,
  type DType,
  dtypeInfo,
  finish,
  type Graph,
  isFloat,
  kernelProblem,
  type Node,
  operatorOf,
  type Steps,
  type Value,
} from '@tensorwright/core';
import type { Pass, PassContext } from '../../pass.js';
import { type Cluster, Clustering } from './cluster.js';
import { outlineClusters } from './outline.js';

/** Map nodes an epilogue may hold: bounds the live registers of the tape. */
const maxEpilogueNodes = 32;
const maxMapNodes = 96;
const maxOperands = 12;
const maxMapOutputs = 4;

export const fuseGroups: Pass = {
  name: 'fuse-groups',
  phase: 'group',
  run: (graph: Graph, context: PassContext): Steps<Graph> => fuse(graph, context),
};

function* fuse(graph: Graph, context: PassContext): Steps<Graph> {
  const clustering = new Clustering(graph);
  const onDevice = context.backends.some((b) => b.memory !== undefined);
  for (const node of clustering.order) {
    const kind = seedKind(node) ?? (onDevice && takesEpilogue(node) ? 'opaque' : undefined);
    if (!kind || clustering.clusterOf(node)) continue;
    const cluster = clustering.create(kind, node);
    if (kind === 'opaque') {
      absorbEpilogue(clustering, cluster, node, onDevice);
      // Backends know the operator itself, not a group of nothing else.
      if (cluster.nodes.size === 1) clustering.remove(cluster, node);
    }
    const isOpen = kind === 'contraction' || node.op === 'reduce' || (onDevice && channelNorms.has(node.op));
    if (isOpen) absorbEpilogue(clustering, cluster, node, onDevice);
    else if (kind === 'reduce') absorbCast(clustering, cluster, node);
    if (leavesOut(clustering, cluster, node)) clustering.remove(cluster, node);
    yield;
  }
  yield* growMapClusters(clustering);
  return yield* outlineClusters(graph, clustering, context.builder, (region) => finish(fuse(region, context)));
}

/** Whether it is the operator alone, but for results that nobody reads: backends know it by all of them. */
function leavesOut(clustering: Clustering, cluster: Cluster, node: Node): boolean {
  return cluster.nodes.size === 1 && clustering.escaping(cluster.nodes).length < node.outputs.length;
}

/** Norms whose kernels on a device compute maps where they store; those of rows are parts of chains as they are. */
const channelNorms: ReadonlySet<string> = new Set(['groupNorm', 'instanceNorm']);

function seedKind(node: Node): string | undefined {
  const { kind } = operatorOf(node.op);
  return kind === 'contraction' || kind === 'reduce' || kind === 'window' ? kind : undefined;
}

/** Whether it is a plugin's operator with kernels that compute map nodes where they store its result. */
function takesEpilogue(node: Node): boolean {
  if (operatorOf(node.op).custom !== true) return false;
  const kernels = cudaKernelsFor(node.op).filter((k) => k.epilogue === true);
  const ranked = [...node.inputs, ...node.outputs].every((v) => !v || (v.type.kind === 'tensor' && v.type.dims));
  return kernels.length > 0 && ranked && kernels.some((k) => k.refuses(kernelProblem(node)) === undefined);
}

/**
 * Follows the anchor's value through map nodes of the same extents; what 16-bit products feed may be float32 in between
 * and at the end, and what products of bytes feed, any number of their kernels. The group may end wherever exactly one
 * value leaves it; the longest such prefix is kept.
 */
function absorbEpilogue(clustering: Clustering, cluster: Cluster, anchor: Node, onDevice: boolean): void {
  const start = anchor.outputs[0]!;
  if (anchor.outputs.length !== 1 || start.type.kind !== 'tensor' || !start.type.dims) return;
  const fusesBytes = onDevice ? operatorOf(anchor.op).kind === 'contraction' : bytesOnProcessor.has(anchor.op);
  const ofBytes = fusesBytes && anchor.inputs.slice(0, 2).every(isBytes);
  const keyOf = ofBytes ? requantizedKey : shapeKey;
  const shape = keyOf(start);
  const { dtype } = start.type;
  const narrow =
    ofBytes ||
    cluster.kind === 'opaque' ||
    anchor.inputs.some((v) => v?.type.kind === 'tensor' && isFloat(v.type.dtype) && dtypeInfo(v.type.dtype).bits < 32);
  const mayEndIn = (v: Value): boolean => v.type.kind === 'tensor' && (v.type.dtype === dtype || narrow);
  const added: Node[] = [];
  let closed = 0;
  while (added.length < maxEpilogueNodes) {
    const next = nextMap(clustering, cluster, (v) => keyOf(v) === shape);
    if (!next) break;
    clustering.add(cluster, next);
    added.push(next);
    const escaping = clustering.escaping(cluster.nodes);
    if (escaping.length === 1 && mayEndIn(escaping[0]!) && operandCount(cluster) <= maxOperands) closed = added.length;
  }
  for (const node of added.slice(closed)) clustering.remove(cluster, node);
}

/** Statistics are float32; what reads the result in 16 bits alone has it written so. */
function absorbCast(clustering: Clustering, cluster: Cluster, anchor: Node): void {
  const [value, ...others] = anchor.outputs;
  const [user, second] = clustering.users.get(value!) ?? [];
  const alone = !second && ![value!, ...others].some((v) => clustering.outputs.has(v));
  const unread = others.every((v) => (clustering.users.get(v)?.length ?? 0) === 0);
  if (alone && unread && user?.op === 'cast' && value!.type.kind === 'tensor' && isFloat(value!.type.dtype)) {
    const to = user.outputs[0]!.type;
    if (to.kind === 'tensor' && isFloat(to.dtype)) clustering.add(cluster, user);
  }
}

/** The first unclustered map node that reads the cluster and may join it. */
function nextMap(clustering: Clustering, cluster: Cluster, fits: (v: Value) => boolean): Node | undefined {
  for (const member of cluster.nodes) {
    for (const v of member.outputs) {
      for (const user of clustering.users.get(v) ?? []) {
        if (clustering.clusterOf(user) || operatorOf(user.op).kind !== 'map' || !fits(user.outputs[0]!)) continue;
        if (clustering.mayJoin(cluster, user)) return user;
      }
    }
  }
  return undefined;
}

/** Extents, and the dtype unless it is a float: what an epilogue must keep. */
function shapeKey(v: Value): string {
  if (v.type.kind !== 'tensor' || !v.type.dims) return '';
  const { dtype, dims } = v.type;
  return `${isFloat(dtype) ? 'float' : dtype}[${dimsKey(dims)}]`;
}

function isBytes(v: Value | undefined): boolean {
  return v?.type.kind === 'tensor' && (v.type.dtype === 'int8' || v.type.dtype === 'uint8');
}

/** Products of bytes that have kernels of their own there. */
const bytesOnProcessor: ReadonlySet<string> = new Set(['dot', 'conv']);

const requantized: ReadonlySet<DType> = new Set(['int8', 'uint8', 'int32', 'float16', 'bfloat16', 'float32']);

/** Extents alone, of what sums of bytes become on their way to other bytes. */
function requantizedKey(v: Value): string {
  if (v.type.kind !== 'tensor' || !v.type.dims) return '';
  return requantized.has(v.type.dtype) ? dimsKey(v.type.dims) : '';
}

function extentsKey(v: Value): string | undefined {
  return v.type.kind === 'tensor' && v.type.dims && v.type.dtype !== 'string' ? dimsKey(v.type.dims) : undefined;
}

function operandCount(cluster: Cluster): number {
  const operands = new Set<Value>();
  for (const node of cluster.nodes) for (const v of node.inputs) if (v && !cluster.nodes.has(v.node)) operands.add(v);
  return operands.size;
}

/** Merges producers and consumers over the same extents, in topological order. */
function* growMapClusters(clustering: Clustering): Steps<void> {
  for (const node of clustering.order) {
    if (operatorOf(node.op).kind !== 'map' || clustering.clusterOf(node)) continue;
    const extents = extentsKey(node.outputs[0]!);
    yield;
    const cluster = clustering.create('map', node);
    if (extents === undefined) continue;
    for (const v of node.inputs) {
      const other = v && clustering.clusterOf(v.node);
      if (!other || other === cluster || other.kind !== 'map' || extentsKey(v) !== extents) continue;
      if (other.nodes.size + cluster.nodes.size > maxMapNodes || !clustering.mayJoin(other, node)) continue;
      const union = new Set([...other.nodes, ...cluster.nodes]);
      if (
        clustering.escaping(union).length > maxMapOutputs ||
        operandCount({ kind: 'map', nodes: union }) > maxOperands
      )
        continue;
      clustering.merge(cluster, other);
    }
  }
}
