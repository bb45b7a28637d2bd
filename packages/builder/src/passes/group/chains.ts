/** Groups that may run as one step: proposals for the choice by time. Whether a backend can is the backend's to say. */

import { type Node, provablyEqual, type Value, viewGroup } from '@tensorwright/core';
import { dimsOf, sameDims } from '../rules.js';
import type { Clustering } from './cluster.js';

export interface Chain {
  readonly kind: string;
  /** In an order in which they can run. */
  readonly members: readonly Node[];
  /** A longer one that is the better wherever a backend runs it: this one is for all others. */
  readonly insteadOf?: Chain;
}

/** Maps before a convolution of single pixels: what a squeeze-excite block, or a normalization, scales its input by. */
function scaledConvolutions(clustering: Clustering): Chain[] {
  return clustering.order.flatMap((node) => {
    const x = imageOf(node);
    const kernel = x && dimsOf(viewGroup(node).anchor!.inputs[1]);
    return kernel?.slice(2).every((d) => d === 1) === true ? mapBefore(x!, node, clustering) : [];
  });
}

/** Channels of an image as it comes from outside, at most. */
const fewChannels = 8;

/** Maps before the first convolution: casts and scales of an image of few channels. */
function computedImages(clustering: Clustering): Chain[] {
  return clustering.order.flatMap((node) => {
    const x = imageOf(node);
    const channels = dimsOf(x)?.[1];
    return typeof channels === 'number' && channels <= fewChannels ? mapBefore(x!, node, clustering) : [];
  });
}

/** The first convolution and the pooling that alone reads it; with the maps before it as well. */
function pooledImages(clustering: Clustering): Chain[] {
  return clustering.order.flatMap((node) => {
    const x = imageOf(node);
    const channels = dimsOf(x)?.[1];
    if (typeof channels !== 'number' || channels > fewChannels) return [];
    const pool = onlyUser(node.outputs[0]!, clustering);
    if (!pool || viewGroup(pool).anchor?.op !== 'pool') return [];
    const before = [[], ...mapBefore(x!, node, clustering).map(({ members }) => members.slice(0, 1))];
    return before.map((maps) => ({ kind: 'pooledContraction', members: [...maps, node, pool] }));
  });
}

/** The maps that make a convolution's image, where nothing else reads it. */
function mapBefore(image: Value, convolution: Node, clustering: Clustering): Chain[] {
  const map = image.node;
  const isMap = map.op === 'group' && map.attributes['kind'] === 'map' && map.outputs.length === 1;
  if (!isMap || onlyUser(image, clustering) !== convolution) return [];
  if (map.inputs.some((v) => v && mayLieInConcat(v, clustering))) return [];
  return [{ kind: 'contraction', members: [map, convolution] }];
}

/**
 * Whether it lies in the memory of a concat, or of a longer one that begins as it does, where all who read it do so
 * through strides, as maps do and convolutions do not.
 */
function mayLieInConcat(v: Value, { users }: Clustering): boolean {
  const joins = (u: Value | undefined): boolean =>
    (u && users.get(u))?.some((user) => user.op === 'concat' && user !== v.node) === true;
  return joins(v) || (v.node.op === 'concat' && v.node.inputs.some(joins));
}

/** Squeeze and excite: the mean of each channel, and two products of it, the last of which is as wide as the image. */
function excitations(clustering: Clustering): Chain[] {
  return clustering.order.flatMap((mean) => {
    const group = viewGroup(mean);
    if (mean.op !== 'group' || group.anchor?.op !== 'reduce' || mean.outputs.length !== 1) return [];
    const down = onlyUser(mean.outputs[0]!, clustering);
    if (!down || imageOf(down) !== mean.outputs[0]) return [];
    const up = onlyUser(down.outputs[0]!, clustering);
    if (!up || imageOf(up) !== down.outputs[0]) return [];
    const channels = dimsOf(group.anchor.inputs[0])?.[1];
    const wide = dimsOf(up.outputs[0])?.[1];
    if (channels === undefined || wide === undefined || !provablyEqual(channels, wide)) return [];
    return [{ kind: 'excitation', members: [mean, down, up] }];
  });
}

/** The same with the depthwise convolution before it, which can sum what it stores. */
function pooledExcitations(clustering: Clustering): Chain[] {
  return excitations(clustering).flatMap(({ kind, members }) => {
    const mean = viewGroup(members[0]!);
    const image = mean.node.inputs[mean.anchorInputs[0] ?? -1];
    const x = image && imageOf(image.node);
    const channels = x && dimsOf(x)?.[1];
    const groups = image && viewGroup(image.node).anchor?.attributes['group'];
    return channels !== undefined && channels === groups && groups !== 1
      ? [{ kind, members: [image!.node, ...members] }]
      : [];
  });
}

/** The same with the convolution of single pixels that alone makes the image of the depthwise one. */
function expandedExcitations(clustering: Clustering): Chain[] {
  return pooledExcitations(clustering).flatMap(({ kind, members }) => {
    const image = imageOf(members[0]!)!;
    const expands = imageOf(image.node) !== undefined && isOfSinglePixels(image.node);
    return expands && onlyUser(image, clustering) === members[0] ? [{ kind, members: [image.node, ...members] }] : [];
  });
}

const rowNorms = new Set(['layerNorm', 'rmsNorm']);

/** A normalization of rows, and the product that alone reads it. */
function normalizedProducts(clustering: Clustering): Chain[] {
  return clustering.order.flatMap((norm) => {
    if (norm.outputs.length === 0 || !rowNorms.has(viewGroup(norm).anchor?.op ?? '')) return [];
    const product = onlyUser(norm.outputs[0]!, clustering);
    if (product?.op !== 'group' || viewGroup(product).anchor?.op !== 'dot') return [];
    return [{ kind: 'normalizedProduct', members: [norm, product] }];
  });
}

/**
 * A convolution of every channel, the convolution of single pixels that alone reads it, and, where there is one, that
 * before it which alone makes its image: blocks of mobile networks. Without the latter, the widest image is written all
 * the same.
 */
function invertedResiduals(clustering: Clustering): Chain[] {
  return clustering.order.flatMap((filter) => {
    const image = imageOf(filter);
    if (!image || dimsOf(image)?.[1] !== viewGroup(filter).anchor!.attributes['group']) return [];
    const project = onlyUser(filter.outputs[0]!, clustering);
    if (!project || imageOf(project) !== filter.outputs[0] || !isOfSinglePixels(project)) return [];
    const expand = image.node;
    const expands = imageOf(expand) !== undefined && isOfSinglePixels(expand) && onlyUser(image, clustering) === filter;
    const kind = 'invertedResidual';
    const [short, long] = [
      { kind, members: [filter, project] },
      { kind, members: [expand, filter, project] },
    ];
    return expands ? [long, { ...short, insteadOf: long }] : [short];
  });
}

function isOfSinglePixels(convolution: Node): boolean {
  return (
    dimsOf(viewGroup(convolution).anchor!.inputs[1])
      ?.slice(2)
      .every((d) => d === 1) === true
  );
}

/** What a group that convolves reads as its image. */
function imageOf(node: Node): Value | undefined {
  if (node.op !== 'group' || node.outputs.length !== 1) return undefined;
  const { anchor, anchorInputs } = viewGroup(node);
  const input = anchorInputs[0];
  return anchor?.op === 'conv' && input !== undefined && input >= 0 ? node.inputs[input] : undefined;
}

const picks: ReadonlySet<string> = new Set(['gather', 'gatherElements', 'gatherND']);

/** Maps of what is picked: embeddings and what is added to them, windows put together again and their residual. */
function picked(clustering: Clustering): Chain[] {
  return clustering.order.flatMap((node) => {
    const user = picks.has(node.op) ? onlyUser(node.outputs[0]!, clustering) : undefined;
    const isMap = user?.op === 'group' && user.attributes['kind'] === 'map' && user.outputs.length === 1;
    return isMap && sameDims(dimsOf(node.outputs[0]), dimsOf(user.outputs[0]))
      ? [{ kind: 'gather', members: [node, user] }]
      : [];
  });
}

/** The one node that reads a value, where it is no output of the graph. */
function onlyUser(v: Value, { users, outputs }: Clustering): Node | undefined {
  const found = users.get(v) ?? [];
  return found.length === 1 && !outputs.has(v) ? found[0] : undefined;
}

export const chainPatterns: readonly ((clustering: Clustering) => readonly Chain[])[] = [
  scaledConvolutions,
  computedImages,
  pooledImages,
  excitations,
  pooledExcitations,
  expandedExcitations,
  normalizedProducts,
  invertedResiduals,
  picked,
];
