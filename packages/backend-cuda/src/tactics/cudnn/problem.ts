/** A convolution with its maps as cuDNN is told it: every extent a number. */

import {
  type Dim,
  dimBounds,
  type DType,
  elementCount,
  type GroupView,
  type MemoryView,
  type TensorType,
} from '@tensorwright/core';
import type { CudnnConvolution, CudnnTensor } from '@tensorwright/native';
import { alignmentOf, mostAlignment } from '../alignment.js';
import { type Geometry, geometryOf, likelyExtent } from '../contraction/conv-problem.js';
import { denseView } from '../dense-view.js';
import { dtypeOf } from '../operands.js';
import type { ConvolutionMaps, Side } from './maps.js';

/** At the extents to plan for, of operands that are dense with their channels innermost. */
export function likelyConvolution(group: GroupView, { maps, sides, scalars }: ConvolutionMaps): CudnnConvolution {
  const g = geometryOf(group);
  const rank = g.kernel.length;
  const pads = g.pads.map(likelyPad);
  const [padsBefore, padsAfter] = [pads.slice(0, rank), pads.slice(rank)];
  const image = g.x.map(likelyExtent);
  const result = [image[0]!, g.w[0] as number, ...image.slice(2).map((d, i) => pixels(d, i, g, padsBefore, padsAfter))];
  return {
    image: dense(dtypeOf(group.anchor!.inputs[0])!, image),
    filters: dense(dtypeOf(group.anchor!.inputs[1])!, g.w as readonly number[]),
    result: dense(dtypeOf(group.outputs[0])!, result),
    sides: sides.map((side) => dense(dtypeOf(group.node.inputs[side.input])!, extentsOfSide(group, side, result))),
    scalars,
    padsBefore,
    padsAfter,
    strides: g.strides,
    dilations: g.dilations,
    maps,
    tf32: isTf32(group),
  };
}

/**
 * The same of operands that lie as these views; undefined where extents or strides are only known later.
 * @param view of the group's inputs
 */
export function placedConvolution(
  group: GroupView,
  maps: ConvolutionMaps,
  view: (input: number) => MemoryView,
  output: MemoryView,
): CudnnConvolution | undefined {
  const likely = likelyConvolution(group, maps);
  const place = (tensor: CudnnTensor, { offset, dims, strides: own }: MemoryView): CudnnTensor | undefined => {
    const lead = tensor.dims.length - dims.length;
    const strides = tensor.dims.map((d, i) => (d === 1 || i < lead ? tensor.strides[i]! : own[i - lead]!));
    if (!strides.every((s) => typeof s === 'number')) return undefined;
    return { ...tensor, strides, alignment: alignmentOf(offset, tensor.dtype) };
  };
  const image = place(likely.image, view(group.anchorInputs[0]!));
  const result = place(likely.result, output);
  const sides = likely.sides.map((tensor, i) => {
    const { input, isChannels } = maps.sides[i]!;
    if (!isChannels) return place(tensor, view(input));
    return { ...tensor, alignment: alignmentOf(view(input).offset, tensor.dtype) };
  });
  return image && result && sides.every((p) => p !== undefined) ? { ...likely, image, result, sides } : undefined;
}

/** Float32 stays float32 unless the node asks for tf32. */
export function isTf32(group: GroupView): boolean {
  return dtypeOf(group.anchor!.inputs[0]) === 'float32' && group.anchor!.attributes['tf32'] === true;
}

function dense(dtype: DType, dims: readonly number[]): CudnnTensor {
  return { dtype, dims, strides: denseView(dims, true).strides as readonly number[], alignment: mostAlignment };
}

function likelyPad(pad: Dim): number {
  return typeof pad === 'number' ? pad : Math.max(0, dimBounds(pad).min);
}

function pixels(
  extent: number,
  axis: number,
  g: Geometry,
  before: readonly number[],
  after: readonly number[],
): number {
  const reach = g.dilations[axis]! * (g.kernel[axis]! - 1) + 1;
  return Math.floor((extent + before[axis]! + after[axis]! - reach) / g.strides[axis]!) + 1;
}

/** Padded to the result's rank; what is as large as the result is so at every extent. */
function extentsOfSide(group: GroupView, { input, isChannels }: Side, result: readonly number[]): number[] {
  if (isChannels) return result.map((d, i) => (i === 1 ? d : 1));
  const { dims } = group.node.inputs[input]!.type as TensorType;
  const lead = result.length - dims!.length;
  return result.map((d, i) => (i < lead || dims![i - lead] === 1 ? 1 : d));
}

export function isPossible({ image, result }: CudnnConvolution): boolean {
  return elementCount(image.dims) > 0 && result.dims.every((d) => d > 0);
}
