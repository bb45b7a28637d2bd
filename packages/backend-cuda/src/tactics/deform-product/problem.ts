/** A deformConv as a product: what it multiplies, step by step, and why it may be refused. */

import { constantOf, type DType, dtypeInfo, type GroupView, type Tensor, type TensorType } from '@tensorwright/core';
import { refuseScalars } from '../../print/scalars.js';
import { type Geometry, geometryOf, pixelAxes } from '../contraction/conv-problem.js';
import { groupsToMerge } from '../contraction/group-weights.js';
import type { ResultShape } from '../contraction/result.js';
import { dtypeOf, refuseOperands, sameExtents } from '../operands.js';

/** Channels of a group that share their displacements, at most `depth`. */
export interface Chunk {
  /** Of the image. */
  readonly channel: number;
  readonly count: number;
  /** Of displacements. */
  readonly group: number;
}

export interface DeformProblem {
  readonly geometry: Geometry;
  readonly dtype: DType;
  /** Where they are known at build time. */
  readonly weights: Tensor | undefined;
  /** After narrow groups were merged. */
  readonly groups: number;
  /** Output channels of such a group. */
  readonly columns: number;
  /** Channels of a step. */
  readonly depth: number;
  /** Of each group; all have as many. */
  readonly chunks: readonly (readonly Chunk[])[];
  /** Elements of the image that may be loaded at once. */
  readonly width: number;
  readonly result: ResultShape;
}

const products: readonly DType[] = ['float32', 'float16', 'bfloat16'];

export function refuseDeform(group: GroupView): string | undefined {
  const { anchor } = group;
  if (anchor?.op !== 'deformConv') return 'no deformConv';
  const reason = refuseOperands(group);
  if (reason !== undefined) return reason;
  if (group.outputs.length !== 1) return 'more than one result';
  if (group.anchorInputs.includes(-1)) return 'it reads no computed operand';
  const own = (anchor.outputs[0]!.type as TensorType).dims!;
  const made = (group.outputs[0]!.type as TensorType).dims!;
  if (!sameExtents(own, made)) return 'the maps after it keep its extents';
  const dtype = dtypeOf(anchor.inputs[0])!;
  if (!products.includes(dtype) || dtypeOf(anchor.inputs[1]) !== dtype) return `no products of ${dtype}`;
  const { x, w, kernel } = geometryOf(group);
  if (kernel.length !== 2) return 'no image of two axes';
  if (typeof x[1] !== 'number' || x[1] === 0 || w.some((d) => typeof d !== 'number' || d === 0))
    return 'its channels are only known at run time';
  return refuseScalars(group.expressions());
}

/** Of a group that is not refused. */
export function deformProblem(group: GroupView): DeformProblem {
  const geometry = geometryOf(group);
  const dtype = dtypeOf(group.anchor!.inputs[0])!;
  const channels = geometry.x[1] as number;
  const [outputs, perGroup] = geometry.w as readonly number[];
  const merged = groupsToMerge(geometry.group, outputs! / geometry.group, perGroup!);
  const groups = geometry.group / merged;
  const columns = outputs! / groups;
  const perOffset = channels / (group.anchor!.attributes['offsetGroup'] as number);
  // Where channels may begin that a step reads: a common divisor of what groups have.
  const run = commonDivisor(channels / groups, perOffset);
  const half = dtypeInfo(dtype).bits === 16;
  const depth = depthFor(run, half ? [64, 32, 16] : [32, 16]);
  const bias = group.anchorInputs[3];
  return {
    ...{ geometry, dtype, groups, columns, depth },
    weights: constantOf(group.node.inputs[group.anchorInputs[1]!]),
    chunks: chunksOf(groups, channels / groups, perOffset, depth),
    width: powerDividing(run, half ? 8 : 4),
    result: {
      batch: [groups],
      rows: [geometry.out[0]!, ...geometry.out.slice(2)],
      columns: [columns],
      output: pixelAxes(2, columns),
      ...(bias !== undefined && { bias: { input: bias, axis: 1 } }),
    },
  };
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** The depth that wastes least on runs of so many channels; of equals the first. */
function depthFor(run: number, depths: readonly number[]): number {
  const filled = (depth: number): number => Math.ceil(run / depth) * depth;
  return depths.reduce((best, depth) => (filled(depth) < filled(best) ? depth : best));
}

export function powerDividing(n: number, most: number): number {
  let power = most;
  while (n % power !== 0) power /= 2;
  return power;
}

function chunksOf(groups: number, channels: number, perOffset: number, depth: number): Chunk[][] {
  const all = Array.from({ length: groups }, (_, g) => {
    const chunks: Chunk[] = [];
    for (let channel = g * channels; channel < (g + 1) * channels; channel += chunks.at(-1)!.count) {
      const group = Math.floor(channel / perOffset);
      const end = Math.min((g + 1) * channels, (group + 1) * perOffset);
      chunks.push({ channel, count: Math.min(depth, end - channel), group });
    }
    return chunks;
  });
  const most = Math.max(...all.map((c) => c.length));
  // Groups of fewer chunks end with some of no channels.
  return all.map((c) => [...c, ...Array.from({ length: most - c.length }, () => ({ ...c.at(-1)!, count: 0 }))]);
}
