/** Groups that may run as one step: proposals for the choice by time. Whether a backend can is the backend's to say. */

import { type Node, provablyEqual, type Value, viewGroup } from '@tensorwright/core';
import { dimsOf } from '../rules.js';
import type { Clustering } from './cluster.js';

export interface Chain {
  readonly kind: string;
  /** In an order in which they can run. */
  readonly members: readonly Node[];
}

/** Maps before a convolution of single pixels: what a squeeze-excite block, or a normalization, scales its input by. */
function scaledConvolutions(clustering: Clustering): Chain[] {
  return clustering.order.flatMap((node) => {
    const x = imageOf(node);
    const kernel = x && dimsOf(viewGroup(node).anchor!.inputs[1]);
    if (!kernel?.slice(2).every((d) => d === 1)) return [];
    const map = x!.node;
    const isMap = map.op === 'group' && map.attributes['kind'] === 'map' && map.outputs.length === 1;
    return isMap && onlyUser(x!, clustering) === node ? [{ kind: 'contraction', members: [map, node] }] : [];
  });
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

/** What a group that convolves reads as its image. */
function imageOf(node: Node): Value | undefined {
  if (node.op !== 'group' || node.outputs.length !== 1) return undefined;
  const { anchor, anchorInputs } = viewGroup(node);
  const input = anchorInputs[0];
  return anchor?.op === 'conv' && input !== undefined && input >= 0 ? node.inputs[input] : undefined;
}

/** The one node that reads a value, where it is no output of the graph. */
function onlyUser(v: Value, { users, outputs }: Clustering): Node | undefined {
  const found = users.get(v) ?? [];
  return found.length === 1 && !outputs.has(v) ? found[0] : undefined;
}

export const chainPatterns: readonly ((clustering: Clustering) => readonly Chain[])[] = [
  scaledConvolutions,
  excitations,
];
