/**
 * Convolutions of up to four channels on tensor cores: a first launch writes the image with its padding and with four
 * channels a pixel into scratch memory; there the taps of a filter row are one run of memory, and nothing is gathered.
 * Windows that lie side by side need none of it: their rows are runs of the image itself.
 */

import {
  addDims,
  ceilDivDims,
  constantOf,
  type Dim,
  dimBounds,
  dtypeInfo,
  elementCount,
  type EmitContext,
  type GroupView,
  memoByKind,
  type MemoryView,
  mulDims,
  productOf,
  Tensor,
} from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import type { Launch } from '../../launch/launch-step.js';
import { cxxType } from '../../print/types.js';
import { index, indexType } from '../../print/views.js';
import { denseView } from '../dense-view.js';
import { dtypeOf } from '../operands.js';
import { type Geometry, geometryOf, pixelAxes, ungrouped } from './conv-problem.js';
import { onTensorCores } from './group.js';
import { isPatches, patchProblem } from './patches.js';
import type { Problem } from './problem.js';
import { printDecode } from './source.js';

/** Channels of a pixel in scratch memory. */
const pixel = 4;
/** Rows of the image are whole copies of 16 bytes. */
const pixelsOfCopy = 4;
const threads = 256;

export function isStem(group: GroupView): boolean {
  if (group.anchor!.op !== 'conv' || !onTensorCores(group) || group.anchorInputs[0] === -1) return false;
  const g = geometryOf(group);
  return (
    g.group === 1 &&
    (g.x[1] as number) <= pixel &&
    g.dilations.at(-1) === 1 &&
    g.pads.every((p) => dimBounds(p).min >= 0) &&
    constantOf(group.node.inputs[group.anchorInputs[1]!]) !== undefined
  );
}

/** Extents of the padded image: [N, spatial…, channels]. */
function imageDims(g: Geometry): Dim[] {
  const rank = g.kernel.length;
  const spatial = g.kernel.map((_, i) => addDims(addDims(g.x[2 + i]!, g.pads[i]!), g.pads[i + rank]!));
  spatial.push(mulDims(ceilDivDims(spatial.pop()!, pixelsOfCopy), pixelsOfCopy));
  return [g.x[0]!, ...spatial, pixel];
}

/** Of the padded image. */
export function imageBytes(group: GroupView): Dim {
  const bytes = dtypeInfo(dtypeOf(group.anchor!.inputs[0])!).bits / 8;
  return mulDims(productOf(imageDims(geometryOf(group))), bytes);
}

/** Elements of a filter row, and what they are rounded up to. */
function runOf(g: Geometry, bytes: number): { used: number; padded: number } {
  const used = g.kernel.at(-1)! * pixel;
  return { used, padded: Math.ceil((used * bytes) / 16) * (16 / bytes) };
}

export function stemProblem(group: GroupView): Problem {
  if (isPatches(group)) return patchProblem(group);
  const g = geometryOf(group);
  const [x, w, bias] = group.anchorInputs as [number, number, number | undefined];
  const dtype = dtypeOf(group.node.inputs[x])!;
  const { used, padded } = runOf(g, dtypeInfo(dtype).bits / 8);
  const columns = g.w[0] as number;
  const outer = g.kernel.slice(0, -1);
  return {
    batch: [],
    rows: [g.out[0]!, ...g.out.slice(2)],
    columns: [columns],
    depth: [...outer, padded],
    left: {
      input: x,
      dtype,
      instead: { view: denseView(imageDims(g)) },
      used,
      axes: (view) => ({
        batch: [],
        own: [view.strides[0]!, ...g.strides.map((s, i) => mulDims(view.strides[1 + i]!, s))],
        depth: [...outer.map((_, i) => mulDims(view.strides[1 + i]!, g.dilations[i]!)), 1],
        windows: [],
      }),
    },
    right: {
      input: w,
      dtype: dtypeOf(group.node.inputs[w])!,
      instead: () => rowWeights(constantOf(group.node.inputs[w])!, padded),
      axes: (view) => ({ batch: [], own: [view.strides[0]!], depth: view.strides.slice(1), windows: [] }),
    },
    output: ungrouped(pixelAxes(g.kernel.length, columns)),
    ...(bias !== undefined && { bias: { input: bias, axis: 1 } }),
  };
}

const rowWeightsOf = memoByKind<Tensor, Tensor>();

/** Weights [M, C, outer taps…, taps] as [M, outer taps…, taps of four channels and zeros]. */
function rowWeights(weights: Tensor, padded: number): Tensor {
  return rowWeightsOf(weights, String(padded), () => packRows(weights, padded));
}

function packRows(weights: Tensor, padded: number): Tensor {
  const [outputs, channels, ...kernel] = weights.dims as [number, number, ...number[]];
  const size = dtypeInfo(weights.dtype).bits / 8;
  const taps = kernel.at(-1)!;
  const outer = elementCount(kernel.slice(0, -1));
  const bytes = new Uint8Array(outputs * outer * padded * size);
  for (let m = 0; m < outputs; m++)
    for (let c = 0; c < channels; c++)
      for (let o = 0; o < outer; o++)
        for (let t = 0; t < taps; t++) {
          const from = (((m * channels + c) * outer + o) * taps + t) * size;
          bytes.set(weights.bytes.subarray(from, from + size), ((m * outer + o) * padded + t * pixel + c) * size);
        }
  return Tensor.fromBytes(weights.dtype, bytes, [outputs, ...kernel.slice(0, -1), padded]);
}

/** The launch that writes the padded image, one thread to a pixel. */
export function printPadding(
  group: GroupView,
  context: EmitContext,
  args: Arguments,
): { text: string; launch: Launch } {
  const g = geometryOf(group);
  const input = group.anchorInputs[0]!;
  const view: MemoryView = context.view(input)!;
  const type = cxxType(dtypeOf(group.node.inputs[input])!);
  const dims = imageDims(g).slice(0, -1);
  const number = indexType(view);
  const spatial = g.kernel.map((_, i) => `s${String(i)}`);
  const conditions = spatial.map((s, i) => `static_cast<u32>(${s}) < static_cast<u32>(${args.dim(g.x[2 + i]!)})`);
  const pixels = productOf(dims);
  const walks = dims.map((extent) => ({ extent }));
  const channel = (c: number): string =>
    `${args.input(input, type)}[${index(
      view,
      ['c0', String(c), ...spatial].map((at) => (at === '0' ? '0' : `${number}(${at})`)),
      args,
    )}]`;
  const text = `
extern "C" __global__ void __launch_bounds__(${String(threads)}) pad_image(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const i32 i = blockIdx.x * ${String(threads)} + threadIdx.x;
  if (i >= ${args.dim(pixels)}) return;
  ${printDecode(walks, 'i', 'c', args).join('\n  ')}
  ${spatial.map((s, i) => `const i32 ${s} = c${String(1 + i)} - ${args.dim(g.pads[i]!)};`).join('\n  ')}
  Vec<${type}, ${String(pixel)}> y{};
  if (${conditions.join(' && ')}) {
    ${Array.from({ length: g.x[1] as number }, (_, c) => `y.v[${String(c)}] = ${channel(c)};`).join('\n    ')}
  }
  store_vec(${args.workspace(0, type)} + static_cast<i64>(i) * ${String(pixel)}, y);
}`;
  return {
    text,
    launch: { function: 'pad_image', grid: [ceilDivDims(pixels, threads), 1, 1], block: [threads, 1, 1] },
  };
}
