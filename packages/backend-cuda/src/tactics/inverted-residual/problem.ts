/** Blocks of mobile networks: a convolution of every channel, what expands its image, and what projects its result. */

import {
  anchorArg,
  computedArg,
  constantOf,
  type Dim,
  type DType,
  type GroupView,
  provablyEqual,
  type Tensor,
  type TensorType,
} from '@tensorwright/core';
import { argumentsOf, refuseScalars } from '../../print/scalars.js';
import { type Geometry, geometryOf, refuseConv } from '../contraction/conv-problem.js';
import { dtypeOf, refuseOperands } from '../operands.js';

/** A convolution with constant weights, and what is made of it. */
export interface Layer {
  readonly group: GroupView;
  readonly geometry: Geometry;
  readonly weights: Tensor;
  readonly bias: Tensor | undefined;
}

export interface ResidualProblem {
  /** Of single pixels; undefined: the image itself is filtered. */
  readonly expand: Layer | undefined;
  readonly filter: Layer;
  readonly project: Layer;
  readonly dtype: DType;
  /** Channels of the input, between the two others, and of the result. */
  readonly inputs: number;
  readonly expanded: number;
  readonly outputs: number;
}

const vector = 8;
const mostTaps = 25;

const problems = new WeakMap<GroupView, ResidualProblem | string>();

/** What a chain of two or three convolutions computes, or why no kernel computes it. */
export function residualOf(chain: GroupView): ResidualProblem | string {
  let problem = problems.get(chain);
  if (problem === undefined) problems.set(chain, (problem = makeProblem(chain)));
  return problem;
}

function makeProblem(chain: GroupView): ResidualProblem | string {
  const { parts } = chain;
  if (parts.length < 2 || parts.length > 3 || parts.some((p) => p.anchor?.op !== 'conv')) return 'no inverted residual';
  const reason = refuseOperands(chain);
  if (reason !== undefined) return reason;
  const layers = parts.map(layerOf);
  const refused = layers.find((layer) => typeof layer === 'string');
  if (refused !== undefined) return refused;
  const all = layers as Layer[];
  const [expand, filter, project] = all.length === 3 ? (all as [Layer, Layer, Layer]) : [undefined, ...all];
  const dtype = dtypeOf(filter.group.anchor!.inputs[0])!;
  const isHalf = dtype === 'float16' || dtype === 'bfloat16';
  const sameTypes = all.every(
    ({ group, weights }) => weights.dtype === dtype && dtypeOf(group.anchor!.inputs[0]) === dtype,
  );
  if (!isHalf || !sameTypes) return 'only 16-bit floats of one type stay in a block';
  if ((expand && !isPlain(expand)) || !isPlain(project))
    return 'only convolutions of single pixels expand and project';
  const { x, w, kernel, group } = filter.geometry;
  if (kernel.length !== 2 || group !== x[1] || w[0] !== x[1] || kernel[0]! * kernel[1]! > mostTaps)
    return 'only small filters of images, one to a channel, are part of a block';
  const follows = all.slice(1).every((layer, i) => layer.group.own.inputs.includes(all[i]!.group.outputs[0]));
  if (!follows || chain.own.regions[0]!.outputs.length !== 1) return 'only the last convolution is a result';
  const inputs = all[0]!.geometry.x[1] as number;
  const outputs = project.geometry.w[0] as number;
  if (inputs % vector !== 0 || outputs % vector !== 0) return 'only whole vectors of channels are expanded';
  const plain = all
    .slice(0, -1)
    .every(({ group: part }) => argumentsOf(part.expressions()[0]!).every((a) => a === anchorArg(part)));
  if (!plain || argumentsOf(project.group.expressions()[0]!).includes(computedArg))
    return 'only the last convolution reads operands';
  return (
    refuseScalars(parts.flatMap((part) => part.expressions())) ?? {
      expand,
      filter,
      project,
      dtype,
      inputs,
      expanded: x[1],
      outputs,
    }
  );
}

function layerOf(group: GroupView, index: number): Layer | string {
  const { anchor, anchorInputs, node, outputs } = group;
  if (outputs.length !== 1 || (anchorInputs[0] === -1) !== index > 0) return 'only chains of convolutions are blocks';
  const reason = refuseConv(group);
  if (reason !== undefined) return reason;
  const constant = (i: number | undefined): Tensor | undefined =>
    i === undefined || i < 0 ? undefined : constantOf(node.inputs[i]);
  const weights = constant(anchorInputs[1]);
  const bias = constant(anchorInputs[2]);
  if (!weights || (anchorInputs[2] !== undefined && !bias)) return 'only known weights are part of a block';
  const [made, kept] = [anchor!.outputs[0]!, outputs[0]!].map((v) => (v.type as TensorType).dims!) as [Dim[], Dim[]];
  const same = made.length === kept.length && made.every((d, i) => provablyEqual(d, kept[i]!));
  return same ? { group, geometry: geometryOf(group), weights, bias } : 'the maps of a block keep its extents';
}

function isPlain({ geometry: { kernel, strides, pads, group } }: Layer): boolean {
  return (
    kernel.length === 2 && [...kernel, ...strides].every((n) => n === 1) && pads.every((p) => p === 0) && group === 1
  );
}
