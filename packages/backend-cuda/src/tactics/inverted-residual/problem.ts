/** Blocks of mobile networks: a convolution of every channel, what expands its image, and what projects its result. */

import {
  anchorArg,
  computedArg,
  constantOf,
  type Dim,
  type DType,
  type GroupView,
  memo,
  type Tensor,
  type TensorType,
  viewGroup,
} from '@tensorwright/core';
import { argumentsOf, refuseScalars } from '../../print/scalars.js';
import { type Geometry, geometryOf, refuseConv } from '../contraction/conv-problem.js';
import { dtypeOf, refuseOperands, sameExtents } from '../operands.js';

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
  /** Of single pixels; undefined: what is filtered is the result. */
  readonly project: Layer | undefined;
  readonly dtype: DType;
  /** Channels of the input, between the two others, and of the result. */
  readonly inputs: number;
  readonly expanded: number;
  readonly outputs: number;
}

const vector = 8;
const mostTaps = 25;

/** What a chain of two or three convolutions computes, the last of which projects, or why no kernel computes it. */
export const residualOf: (chain: GroupView) => ResidualProblem | string = memo((chain) => {
  const { parts, own } = chain;
  if (parts.length < 2 || parts.length > 3 || !areConvolutions(parts)) return 'no inverted residual';
  const layers = layersOf(chain, parts);
  if (typeof layers === 'string') return layers;
  const [expand, filter, project] =
    layers.length === 3 ? (layers as [Layer, Layer, Layer]) : ([undefined, ...layers] as [undefined, Layer, Layer]);
  if (!isPlain(project) || own.regions[0]!.outputs.length !== 1) return 'only the last convolution projects';
  if (argumentsOf(project.group.expressions()[0]!).includes(computedArg))
    return 'only operands are added to what is projected';
  return problemOf(expand, filter, project);
});

/** The first two groups of a chain, a convolution of single pixels and one of every channel, whose image is a result. */
export const expandedOf: (chain: GroupView) => ResidualProblem | string = memo((chain) => {
  const parts = chain.parts.slice(0, 2);
  if (parts.length < 2 || !areConvolutions(parts)) return 'no expanded image';
  const layers = layersOf(chain, parts);
  if (typeof layers === 'string') return layers;
  const [expand, filter] = layers as [Layer, Layer];
  if (dtypeOf(filter.group.outputs[0]) !== filter.weights.dtype) return 'only 16-bit floats of one type are expanded';
  return problemOf(expand, filter, undefined);
});

function areConvolutions(parts: readonly GroupView[]): boolean {
  return parts.every((p) => p.anchor?.op === 'conv');
}

function layersOf(chain: GroupView, parts: readonly GroupView[]): readonly Layer[] | string {
  const reason = refuseOperands(chain) ?? refuseScalars(parts.flatMap((part) => part.expressions()));
  if (reason !== undefined) return reason;
  const layers: Layer[] = [];
  for (const part of parts) {
    const layer = layerOf(part, layers.at(-1));
    if (typeof layer === 'string') return layer;
    layers.push(layer);
  }
  return layers;
}

/** @param before whose result it reads; undefined: it reads an operand */
function layerOf(group: GroupView, before: Layer | undefined): Layer | string {
  const { anchor, anchorInputs, node, own, outputs } = group;
  const image = viewGroup(own).anchorInputs[0]!;
  const follows = image >= 0 && (before ? own.inputs[image] === before.group.outputs[0] : anchorInputs[0]! >= 0);
  if (outputs.length !== 1 || !follows) return 'only chains of convolutions are blocks';
  const reason = refuseConv(group);
  if (reason !== undefined) return reason;
  const constant = (i: number | undefined): Tensor | undefined =>
    i === undefined || i < 0 ? undefined : constantOf(node.inputs[i]);
  const weights = constant(anchorInputs[1]);
  const bias = constant(anchorInputs[2]);
  if (!weights || (anchorInputs[2] !== undefined && !bias)) return 'only known weights are part of a block';
  const dtype = dtypeOf(anchor!.inputs[0])!;
  if ((dtype !== 'float16' && dtype !== 'bfloat16') || weights.dtype !== dtype)
    return 'only 16-bit floats of one type stay in a block';
  if (before && before.weights.dtype !== dtype) return 'only 16-bit floats of one type stay in a block';
  const [made, kept] = [anchor!.outputs[0]!, outputs[0]!].map((v) => (v.type as TensorType).dims!) as [Dim[], Dim[]];
  return sameExtents(made, kept)
    ? { group, geometry: geometryOf(group), weights, bias }
    : 'the maps of a block keep its extents';
}

function problemOf(expand: Layer | undefined, filter: Layer, project: Layer | undefined): ResidualProblem | string {
  const { x, w, kernel, group } = filter.geometry;
  if (expand && !isPlain(expand)) return 'only convolutions of single pixels expand';
  if (kernel.length !== 2 || group !== x[1] || w[0] !== x[1] || kernel[0]! * kernel[1]! > mostTaps)
    return 'only small filters of images, one to a channel, are part of a block';
  const expanded = x[1];
  const inputs = (expand ?? filter).geometry.x[1] as number;
  const outputs = project ? (project.geometry.w[0] as number) : expanded;
  if (inputs % vector !== 0 || outputs % vector !== 0) return 'only whole vectors of channels are expanded';
  const readsNothing = ({ group: part }: Layer): boolean =>
    argumentsOf(part.expressions()[0]!).every((arg) => arg === anchorArg(part));
  if (!readsNothing(filter) || (expand && !readsNothing(expand))) return 'only the last convolution reads operands';
  return { expand, filter, project, dtype: filter.weights.dtype, inputs, expanded, outputs };
}

function isPlain({ geometry: { kernel, strides, pads, group } }: Layer): boolean {
  return (
    kernel.length === 2 && [...kernel, ...strides].every((n) => n === 1) && pads.every((p) => p === 0) && group === 1
  );
}
