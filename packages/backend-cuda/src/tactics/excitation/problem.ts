/** Squeeze and excite as a chain of three groups: the mean of every channel, and two products of single pixels. */

import {
  anchorArg,
  constantOf,
  type Dim,
  type DType,
  type GroupView,
  productOf,
  type Tensor,
  type TensorType,
} from '@tensorwright/core';
import { argumentsOf, refuseScalars } from '../../print/scalars.js';
import { floats, refuseOperands } from '../operands.js';

/** A product of a vector for each image with constant weights, and what is made of it. */
export interface Layer {
  readonly group: GroupView;
  /** [outputs, inputs, 1…]. */
  readonly weights: Tensor;
  readonly bias: Tensor | undefined;
}

export interface ExcitationProblem {
  readonly mean: GroupView;
  readonly down: Layer;
  readonly up: Layer;
  /** Of the image, [N, C, spatial…]. */
  readonly dims: readonly Dim[];
  readonly dtype: DType;
  readonly channels: number;
  readonly hidden: number;
  readonly pixels: Dim;
}

/** What the last three parts of a chain compute, or why no kernel computes it. */
export function excitationOf(chain: GroupView): ExcitationProblem | string {
  const [mean, first, second] = chain.parts.slice(-3);
  if (!mean || !first || !second || mean.anchor?.op !== 'reduce') return 'no excitation';
  const reason = refuseOperands(chain);
  if (reason !== undefined) return reason;
  const { dtype, dims } = mean.anchor.inputs[0]!.type as TensorType;
  const axes = (mean.anchor.attributes['axes'] as readonly number[]).map((a) => (a < 0 ? a + dims!.length : a));
  const spatial = dims!.map((_, i) => i).slice(2);
  const isMean =
    mean.anchor.attributes['monoid'] === 'sum' &&
    mean.anchor.attributes['keepdims'] === true &&
    axes.length === spatial.length &&
    spatial.every((i) => axes.includes(i));
  if (!isMean || spatial.length === 0) return 'only means of channels are excited';
  const channels = dims![1];
  if (typeof channels !== 'number' || !floats.has(dtype)) return 'only a known number of channels of floats is excited';
  const down = layerOf(chain, first, mean);
  const up = layerOf(chain, second, first);
  if (typeof down === 'string') return down;
  if (typeof up === 'string') return up;
  if (up.weights.dtype !== down.weights.dtype) return 'only weights of one type excite';
  if (up.weights.dims[0] !== channels || down.weights.dims[1] !== channels)
    return 'an excitation has a value a channel';
  const parts = [mean, first, second];
  const plain = parts.every((part) => argumentsOf(part.expressions()[0]!).every((arg) => arg === anchorArg(part)));
  if (!plain) return 'only the operators of an excitation read operands';
  return (
    refuseScalars(parts.flatMap((part) => part.expressions())) ?? {
      mean,
      down,
      up,
      dims: dims!,
      dtype,
      channels,
      hidden: down.weights.dims[0]!,
      pixels: productOf(dims!.slice(2)),
    }
  );
}

function layerOf(chain: GroupView, group: GroupView, before: GroupView): Layer | string {
  const { anchor, anchorInputs } = group;
  const pads = (anchor?.attributes['pads'] as readonly Dim[] | undefined) ?? [];
  const single = (dims: readonly Dim[]): boolean => dims.slice(2).every((d) => d === 1);
  const image = anchor?.inputs[0]?.type as TensorType | undefined;
  if (anchor?.op !== 'conv' || anchorInputs[0] !== -1 || !group.own.inputs.includes(before.outputs[0]))
    return 'only chains of convolutions excite';
  const constant = (i: number | undefined): Tensor | undefined =>
    i === undefined || i < 0 ? undefined : constantOf(chain.node.inputs[i]);
  const weights = constant(anchorInputs[1]);
  const bias = constant(anchorInputs[2]);
  if (!weights || (anchorInputs[2] !== undefined && !bias)) return 'only known weights excite';
  const plain =
    single(image!.dims!) && single(weights.dims) && pads.every((p) => p === 0) && anchor.attributes['group'] === 1;
  return plain && floats.has(weights.dtype) && group.outputs.length === 1
    ? { group, weights, bias }
    : 'only plain convolutions of single pixels excite';
}
