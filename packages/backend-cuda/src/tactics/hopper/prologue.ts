/** Maps before a convolution of single pixels, in shared memory (native/cuda/kernels/gemm/wgmma_prologue.cuh). */

import { type Dim, type EmitContext, type GroupView, provablyDivisible, type TensorType } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { broadcastView } from '../../print/loop-space.js';
import { cxxType } from '../../print/types.js';
import { indexType } from '../../print/views.js';
import { pixelsOf, printApply, prologueOf, variesByImage } from '../contraction/prologue.js';

/** Elements of 16 bits that a thread computes at once. */
const lanes = 8;

/** `struct Prologue` of gemm/wgmma_prologue.cuh. */
export function printTilePrologue(group: GroupView, context: EmitContext, args: Arguments): string {
  const prologue = prologueOf(group);
  if (!prologue) return 'struct Prologue { static constexpr bool none = true; };';
  const { sides } = prologue;
  const { dtype, dims } = group.anchor!.inputs[0]!.type as TensorType;
  const type = cxxType(dtype);
  const vary = sides.some((i) => variesByImage(group, i));
  const loads = sides.flatMap((input, i) => {
    const view = broadcastView(context.view(input)!, dims!);
    const [images, channels] = view.strides as [Dim, Dim];
    const number = indexType(view);
    const places = [`${number}(image) * ${args.dim(images)}`, `${number}(channel) * ${args.dim(channels)}`];
    const from = [args.input(input, type), ...places].join(' + ');
    const side = `side[${String(i)}]`;
    if (channels === 1 && [view.offset, images].every((d) => provablyDivisible(d, lanes)))
      return [`    ${side} = bit_cast<Vec<u32, 4>>(load_vec<${String(lanes)}>(${from}));`];
    const chunk = `chunk${String(i)}`;
    return [
      `    Vec<${type}, ${String(lanes)}> ${chunk};`,
      '#pragma unroll',
      `    for (int k = 0; k < ${String(lanes)}; ++k) ${chunk}.v[k] = (${from})[k * ${args.dim(channels)}];`,
      `    ${side} = bit_cast<Vec<u32, 4>>(${chunk});`,
    ];
  });
  const count = String(Math.max(1, sides.length));
  return [
    'struct Prologue {',
    '  static constexpr bool none = false;',
    `  static constexpr int sides = ${String(sides.length)}, pixels = ${String(vary ? (pixelsOf(group) as number) : 0)};`,
    `  TW_DEVICE static i32 channels(const Arguments& a) { return ${args.dim(dims![1]!)}; }`,
    `  TW_DEVICE static void load(const Arguments& a, Vec<u32, 4> (&side)[${count}], i32 image, i32 channel) {`,
    ...loads,
    '  }',
    ...printApply(prologue, type),
    '};',
  ].join('\n');
}
