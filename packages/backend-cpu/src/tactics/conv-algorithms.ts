/** The algorithms of the convolution kernel that fit a group, and about how long each takes. */

import { constantDataOf, type GroupView, type TensorType } from '@tensorwright/core';
import { dtypeOf } from './operands.js';

export interface ConvAlgorithm {
  readonly algorithm: string;
  readonly layout: 'rows' | 'channelsLast';
  /** Time over that of the indirect algorithm. */
  readonly estimate: number;
  /** Of bfloat16: widened to float32 and convolved there. */
  readonly widen?: boolean;
}

const indirect: ConvAlgorithm = { algorithm: 'indirect', layout: 'channelsLast', estimate: 1 };

/** Fewer channels than this leave Winograd's transforms more work than they save. */
const winogradChannels = 16;
/** Estimates are about this true: what is slower by more than this factor is not worth timing. */
const trust = 1.15;
/** Of one core: multiply-adds, bytes of weights from memory, and transformed elements a nanosecond. */
const rates = { products: 50, weightBytes: 20, transforms: 8 };

/**
 * For a conv of bfloat16 or of 8-bit integers in kernels of their own. Where float32 saves work or reads few channels
 * better, bfloat16 may be widened for it.
 */
export function narrowConvAlgorithms(group: GroupView): readonly ConvAlgorithm[] {
  const channels = (group.anchor!.inputs[0]!.type as TensorType).dims![1];
  const own: ConvAlgorithm =
    typeof channels === 'number' && channels <= 4
      ? { algorithm: 'nchw', layout: 'rows', estimate: 0.6 }
      : { ...indirect, estimate: 0.6 };
  if (dtypeOf(group.anchor!.inputs[0]) !== 'bfloat16') return [own];
  const wide = convAlgorithms(group).filter((a) => a.algorithm !== 'indirect');
  return [own, ...wide.map((a) => ({ ...a, widen: true }))];
}

/** For a `conv` in float32. */
export function convAlgorithms(group: GroupView): readonly ConvAlgorithm[] {
  const anchor = group.anchor!;
  const weights = (anchor.inputs[1]!.type as TensorType).dims as readonly number[];
  const channels = (anchor.inputs[0]!.type as TensorType).dims![1];
  const groups = anchor.attributes['group'] as number;
  if (typeof channels === 'number' && channels <= 4 && groups === 1)
    return [{ algorithm: 'nchw', layout: 'rows', estimate: 0.9 }, indirect];
  if (constantDataOf(group.node.inputs[group.anchorInputs[1]!]) === undefined) return [indirect];
  if (groups > 1) {
    const depthwise = groups === channels && weights[0] === groups && weights.length <= 4;
    return depthwise ? [{ algorithm: 'depthwise', layout: 'channelsLast', estimate: 0.5 }, indirect] : [indirect];
  }
  const plain = (name: string, value: number): boolean =>
    (anchor.attributes[name] as readonly number[]).every((v) => v === value);
  const winograd =
    weights.length === 4 &&
    weights[2] === 3 &&
    weights[3] === 3 &&
    plain('strides', 1) &&
    plain('dilations', 1) &&
    weights[0]! >= winogradChannels &&
    weights[1]! >= winogradChannels;
  return winograd ? winogradOrIndirect(weights, (anchor.outputs[0]!.type as TensorType).dims!) : [indirect];
}

function winogradOrIndirect(weights: readonly number[], out: readonly unknown[]): readonly ConvAlgorithm[] {
  // Images of unknown size are taken for large ones.
  const [batch, height, width] = [out[0], out[2], out[3]].map((d, i) => (typeof d === 'number' ? d : i === 0 ? 1 : 56));
  const tiles = (m: number): number => batch! * Math.ceil(height! / m) * Math.ceil(width! / m);
  const [outputs, channels] = weights as [number, number];
  const time = (rows: number, planes: number, transformed: number): number =>
    (rows * planes * channels * outputs) / rates.products +
    (4 * planes * channels * outputs) / rates.weightBytes +
    (transformed * (channels + outputs)) / rates.transforms;
  const reference = time(tiles(1), 9, 0);
  const list: ConvAlgorithm[] = [
    indirect,
    ...[2, 4].map((m): ConvAlgorithm => ({
      algorithm: `winograd${String(m)}`,
      layout: 'channelsLast',
      estimate: time(tiles(m), (m + 2) ** 2, tiles(m) * (m + 2) ** 2) / reference,
    })),
  ];
  const best = Math.min(...list.map((a) => a.estimate));
  return list.filter((a) => a.estimate <= best * trust).sort((a, b) => a.estimate - b.estimate);
}
