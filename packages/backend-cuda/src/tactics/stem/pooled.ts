/** A stem and the pooling that alone reads it, perhaps with the maps that make its image: what a chain computes. */

import { anchorArg, type Dim, type GroupView, type TensorType } from '@tensorwright/core';
import { argumentsOf } from '../../print/scalars.js';
import { type Geometry, geometryOf } from '../contraction/conv-problem.js';
import { dtypeOf, refuseOperands } from '../operands.js';
import { windowsOf } from '../operators/windows.js';
import { refuseStem } from './image.js';

export interface PooledStem {
  /** The convolution, with the maps of its image before it. */
  readonly stem: GroupView;
  readonly geometry: Geometry;
  readonly kernel: readonly [number, number];
  readonly strideY: number;
  /** Before the convolution's result, along y and x. */
  readonly pads: readonly [number, number];
  /** Of the pooled image, [N, C, y, x]. */
  readonly out: readonly Dim[];
}

/** Columns of windows that the lanes of a warp have between them, and how far windows are apart. */
const columns = new Set([2, 3]);
const apart = 2;

/** What a chain computes, or why no stem does. */
export function pooledStemOf(chain: GroupView): PooledStem | string {
  const { parts } = chain;
  const [conv, pool] = parts.slice(-2);
  if (parts.length < 2 || parts.length > 3 || chain.outputs.length !== 1) return 'no pooled stem';
  if (conv?.anchor?.op !== 'conv' || pool?.anchor?.op !== 'pool') return 'no pooled stem';
  if (pool.own.inputs[0] !== conv.outputs[0] || pool.outputs.length !== 1) return 'no pooled stem';
  const stem = parts.length === 2 ? conv : withMaps(parts[0]!, conv);
  if (!stem) return 'only maps of one image are computed before a stem';
  return refuseOperands(chain) ?? refuseStem(stem) ?? refuseSides(stem) ?? poolingOf(stem, pool);
}

/** The convolution as if it computed what the map makes of the image. */
function withMaps(map: GroupView, conv: GroupView): GroupView | undefined {
  if (map.anchor || map.outputs.length !== 1 || conv.anchorInputs[0] !== -1) return undefined;
  const read = conv.prologue(0);
  const isImage = read.op === 'arg' && conv.own.inputs.includes(map.outputs[0]);
  return isImage ? { ...conv, prologue: () => map.expressions()[0]! } : undefined;
}

function poolingOf(stem: GroupView, { anchor, outputs }: GroupView): PooledStem | string {
  const { attributes } = anchor!;
  const windows = windowsOf(attributes, attributes['kernelShape'] as readonly number[]);
  const { kernel, strides, dilations } = windows;
  const dtype = dtypeOf(stem.outputs[0]);
  if (attributes['kind'] !== 'max') return 'only the largest are pooled';
  if (dtype !== 'float16' && dtype !== 'bfloat16') return 'only 16-bit floats are pooled';
  const [padY, padX] = windows.pads;
  if (kernel.length !== 2 || dilations.some((d) => d !== 1)) return 'only whole windows of images are pooled';
  if (typeof padY !== 'number' || typeof padX !== 'number') return 'only known pads are pooled';
  const overlap = kernel[0]! - strides[0]!;
  if (!columns.has(kernel[1]!) || strides[1] !== apart || overlap < 0 || overlap > strides[0]! || strides[0]! > 4)
    return 'only windows of two or three, two apart';
  const pooled = outputs[0]!.type as TensorType;
  if (pooled.dtype !== dtype) return 'only what keeps its type is pooled';
  return {
    stem,
    geometry: geometryOf(stem),
    kernel: [kernel[0]!, kernel[1]!],
    strideY: strides[0]!,
    pads: [padY, padX],
    out: pooled.dims!,
  };
}

/** The maps after the convolution may read what depends on nothing but the channel. */
function refuseSides(stem: GroupView): string | undefined {
  const expression = stem.expressions()[0]!;
  const rank = 4;
  const isPlain = argumentsOf(expression).every((arg) => {
    if (arg === anchorArg(stem)) return true;
    const dims = (stem.node.inputs[arg]?.type as TensorType | undefined)?.dims;
    return dims?.every((d, i) => d === 1 || i - dims.length + rank === 1) === true;
  });
  return isPlain ? undefined : 'only maps of channels are computed before pooling';
}
