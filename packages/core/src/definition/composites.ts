/** Normalization, attention, resizing and quantization. */

import { type Dim, formatDims, provablyEqual } from '../dim.js';
import type { DType } from '../dtype.js';
import type { Value } from '../graph.js';
import { Tensor } from '../tensor.js';
import type { LayerBuilder } from './layers.js';
import type { NetworkTensor } from './tensor.js';

export interface NormalizationOptions {
  /** Default: 1e-5. */
  readonly epsilon?: number;
  /** Groups of channels that are normalized together; the number of channels: each by itself. */
  readonly groups?: number;
}

export function normalization(
  l: LayerBuilder,
  x: Value,
  scale: Value,
  bias: Value | undefined,
  axes: readonly number[],
  o: NormalizationOptions,
): Value {
  const dims = l.dims(x);
  const epsilon = o.epsilon ?? 1e-5;
  if (o.groups !== undefined) {
    const zero = (): Value => l.op('mul', [scale, l.scalar(0, l.dtype(scale))]);
    return l.op('groupNorm', [x, scale, bias ?? zero()], { numGroups: o.groups, epsilon });
  }
  const at = axes.map((a) => l.axis(a, dims.length)).sort((a, b) => a - b);
  const axis = at[0] ?? l.fail('at least one axis is needed');
  if (at.length !== dims.length - axis)
    l.fail(`axes [${axes.join(', ')}] must be the last ones of ${formatDims(dims)}`);
  return l.op('layerNorm', [x, scale, bias], { axis, epsilon });
}

export interface AttentionOptions {
  /** Added to the scores, or false where a key is hidden. */
  readonly mask?: NetworkTensor;
  readonly causal?: boolean;
  /** Default: 1/√size. */
  readonly scale?: number;
  /** Scores are bounded by ±softcap. Default: 0, they are not. */
  readonly softcap?: number;
}

export function attention(l: LayerBuilder, qkv: readonly Value[], o: AttentionOptions): Value {
  const attributes = {
    isCausal: o.causal ?? false,
    softcap: o.softcap ?? 0,
    ...(o.scale !== undefined && { scale: o.scale }),
  };
  return l.op('attention', [...qkv, o.mask && l.value(o.mask, 'mask')], attributes);
}

export interface ResizeOptions {
  /** New extents of all axes. */
  readonly sizes?: readonly Dim[];
  /** Or the factors by which the axes grow. */
  readonly scales?: readonly number[];
  /** Default: nearest. */
  readonly mode?: 'nearest' | 'linear' | 'cubic';
  /** Default: half pixel. */
  readonly coordinateTransformation?: 'alignCorners' | 'asymmetric' | 'halfPixel';
}

const coordinateModes = { alignCorners: 'align_corners', asymmetric: 'asymmetric', halfPixel: 'half_pixel' } as const;

export function resize(l: LayerBuilder, x: Value, o: ResizeOptions): Value {
  const rank = l.dims(x).length;
  if ((o.sizes === undefined) === (o.scales === undefined)) l.fail('either sizes or scales are needed');
  if ((o.sizes ?? o.scales)!.length !== rank) l.fail(`sizes or scales must have ${String(rank)} entries`);
  const mode = l.choice(o.mode ?? 'nearest', ['nearest', 'linear', 'cubic'], 'resize mode');
  const coordinates = l.choice(
    o.coordinateTransformation ?? 'halfPixel',
    ['alignCorners', 'asymmetric', 'halfPixel'],
    'coordinate transformation',
  );
  const scales = o.scales && l.graph.constant(new Tensor('float32', o.scales));
  return l.op('resize', [x, undefined, scales, o.sizes && l.graph.dims(o.sizes)], {
    mode,
    coordinateTransformationMode: coordinateModes[coordinates],
  });
}

export interface QuantizeOptions {
  /** dtype of the result. Default: int8 when quantizing, float32 when dequantizing. */
  readonly to?: DType;
  readonly zeroPoint?: NetworkTensor;
  /** Axis of scales of rank 1. Default: 0. */
  readonly axis?: number;
}

/** The parameter, shaped to broadcast along its axis. */
function alongAxis(l: LayerBuilder, x: Value, parameter: Value, axis: number): Value {
  const rank = l.dims(x).length;
  const dims = l.dims(parameter);
  if (dims.length !== 1) return parameter;
  const at = l.axis(axis, rank);
  if (
    dims[0] !== 1 &&
    typeof dims[0] === 'number' &&
    typeof l.dims(x)[at] === 'number' &&
    !provablyEqual(dims[0], l.dims(x)[at]!)
  ) {
    l.fail(`${formatDims(dims)} does not fit axis ${String(at)} of ${formatDims(l.dims(x))}`);
  }
  return l.op('reshape', [parameter], { dims: Array.from({ length: rank - at }, (_, i) => (i === 0 ? dims[0]! : 1)) });
}

export function quantize(l: LayerBuilder, x: Value, scale: Value, o: QuantizeOptions): Value {
  const axis = o.axis ?? 0;
  const zeroPoint = o.zeroPoint && l.value(o.zeroPoint, 'zeroPoint');
  const to = l.checkDType(o.to ?? (zeroPoint ? l.dtype(zeroPoint) : 'int8'));
  return l.op('quantizeLinear', [x, alongAxis(l, x, scale, axis), zeroPoint && alongAxis(l, x, zeroPoint, axis)], {
    to,
  });
}

export function dequantize(l: LayerBuilder, x: Value, scale: Value, o: QuantizeOptions): Value {
  const axis = o.axis ?? 0;
  const zeroPoint = o.zeroPoint && l.value(o.zeroPoint, 'zeroPoint');
  return l.op('dequantizeLinear', [x, alongAxis(l, x, scale, axis), zeroPoint && alongAxis(l, x, zeroPoint, axis)], {
    to: l.checkDType(o.to ?? 'float32'),
  });
}
