/**
 * The image of a convolution as a tensor map in im2col order (CUDA driver API, cuTensorMapEncodeIm2col): a load is a tap's
 * channels of so many consecutive output pixels, with the zeros of the padding.
 */

import { type Dim, type GroupView, type MemoryView, mulDims, provablyDivisible } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { isMapExtent, type TensorMap, tensorMapAlignment } from '../../launch/tensor-map.js';
import { type Geometry, geometryOf } from '../contraction/conv-problem.js';
import { printDecode } from '../contraction/source.js';
import { type Depth, type LoaderOptions, printLoadHead } from './depth.js';

export interface Image {
  readonly geometry: Geometry;
  readonly channels: number;
  /** From image to image, and along its spatial axes; in elements. */
  readonly strides: readonly Dim[];
  /** Where the first tap of the first and of the last pixel lies, from the image's first and last one, by spatial axis. */
  readonly corners: NonNullable<TensorMap['corners']>;
}

const largestStep = 8;
/** By the number of spatial axes: what corners must be below (or not less than its negative), and taps below. */
const cornerLimits = [0, 2 ** 15, 2 ** 7, 2 ** 4];
const tapLimits = [0, 2 ** 16, 2 ** 8, 2 ** 5];

/** undefined where no tensor map reads the operand. */
export function imageOf(group: GroupView, view: MemoryView, bytes: number): Image | undefined {
  if (group.anchor!.op !== 'conv') return undefined;
  const g = geometryOf(group);
  const rank = g.kernel.length;
  const channels = g.x[1];
  if (rank < 1 || rank > 3 || g.group !== 1 || typeof channels !== 'number' || view.strides[1] !== 1) return undefined;
  if (!g.pads.every((p): p is number => typeof p === 'number')) return undefined;
  const multiple = tensorMapAlignment / bytes;
  const strides = pixelAxes(view.strides);
  if (channels % multiple !== 0 || ![view.offset, ...strides].every((d) => provablyDivisible(d, multiple)))
    return undefined;
  if (!g.x.every(isMapExtent)) return undefined;
  const pads = g.pads;
  const reach = g.kernel.map((k, i) => (k - 1) * g.dilations[i]!);
  const lower = reach.map((_, i) => -pads[i]!);
  const upper = reach.map((r, i) => pads[i + rank]! - r);
  const limit = cornerLimits[rank]!;
  const fits =
    [...lower, ...upper].every((c) => c >= -limit && c < limit) &&
    reach.every((r) => r < tapLimits[rank]!) &&
    g.strides.every((s) => s <= largestStep);
  return fits ? { geometry: g, channels, strides, corners: { lower, upper } } : undefined;
}

/** The axes but for the channels. */
function pixelAxes([images, , ...spatial]: readonly Dim[]): readonly Dim[] {
  return [images!, ...spatial];
}

export function printImage(image: Image, depth: Depth, o: LoaderOptions, args: Arguments): string {
  const { x, out, kernel, strides: steps, dilations } = image.geometry;
  const { lower, upper } = image.corners;
  const inner = <T>(list: readonly T[]): T[] => [...list].reverse();
  const map = args.tensorMap({
    operand: o.source,
    elementBytes: o.bytes,
    dims: [image.channels, ...inner(pixelAxes(x))],
    strides: inner(image.strides).map((d) => mulDims(d, o.bytes)),
    box: [o.span / o.bytes, o.rows],
    swizzle: o.span,
    elementStrides: [1, ...inner(steps), 1],
    corners: { lower: inner(lower), upper: inner(upper) },
  });
  const at = kernel.map((_, i) => `x${String(i)}`);
  const taps = kernel.map((extent) => ({ extent }));
  const offsets = kernel.map((k, i) => (k === 1 ? '0' : `static_cast<u16>(t${String(i)} * ${String(dilations[i])})`));
  return [
    `struct ${o.name} {`,
    `  using Element = ${o.type};`,
    `  static constexpr bool constant = ${String(o.constant)};`,
    `  struct Place { i32 image, ${at.join(', ')}; };`,
    '  TW_DEVICE static Place place(const Arguments& a, i32, i32 row) {',
    ...printDecode(
      pixelAxes(out).map((extent) => ({ extent })),
      'row',
      'r',
      args,
    ).map((l) => `    ${l}`),
    `    return {r0, ${at.map((_, i) => `r${String(i + 1)} * ${String(steps[i])} + ${String(lower[i])}`).join(', ')}};`,
    '  }',
    ...printLoadHead(depth, map, o, args),
    ...(depth.taps === 1 ? [] : printDecode(taps, 'tap', 't', args)).map((l) => `    ${l}`),
    `    tma_load_im2col(shared, &${map}, barrier, cache_normal, channel, ${inner(at)
      .map((x) => `at.${x}`)
      .join(', ')}, at.image,`,
    `                    ${inner(offsets).join(', ')});`,
    '  }',
    '};',
  ].join('\n');
}
