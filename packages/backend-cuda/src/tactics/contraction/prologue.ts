/**
 * Maps before a convolution of single pixels, computed on its way to the tensor cores (native/cuda/kernels/gemm/prologue.cuh):
 * of the image and of operands that every pixel of an image shares. What they make is rounded once, to the type of the
 * image, as if it had been stored.
 */

import {
  type Dim,
  type EmitContext,
  type GroupView,
  productOf,
  provablyEqual,
  type Scalar,
  scalarArgs,
  type TensorType,
} from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { broadcastView } from '../../print/loop-space.js';
import { argumentsOf, printScalars, refuseScalars } from '../../print/scalars.js';
import { cxxType } from '../../print/types.js';
import { sameExtents } from '../operands.js';
import type { Problem } from './problem.js';
import { printSource } from './source.js';

interface Prologue {
  readonly expression: Scalar;
  /** Of the group's inputs: the image, and what all pixels share. */
  readonly image: number;
  readonly sides: readonly number[];
}

const elementBytes = 2;
/** Registers for pairs of all sides are held in the innermost loop. */
const mostSides = 3;
/** Of an image: a tile of fewer holds too many images, and as many rows of every side. */
const leastPixels = 16;

/** undefined where the group reads its image as it is. */
export function prologueOf(group: GroupView): Prologue | undefined {
  if (group.anchorInputs[0] !== -1) return undefined;
  const expression = group.prologue(0);
  const x = group.anchor!.inputs[0]!.type as TensorType;
  const operands = argumentsOf(expression);
  const image = operands.find((i) => {
    const type = group.node.inputs[i]?.type;
    return type?.kind === 'tensor' && type.dtype === x.dtype && sameExtents(type.dims!, x.dims!);
  });
  return image === undefined ? undefined : { expression, image, sides: operands.filter((i) => i !== image) };
}

/** The group's input that a convolution reads as its image, or computes it from. */
export function imageInput(group: GroupView): number | undefined {
  return prologueOf(group)?.image ?? group.anchorInputs[0];
}

/** Why no kernel computes what the convolution reads; undefined when one does. */
export function refusePrologue(group: GroupView): string | undefined {
  const { anchor, anchorInputs, node } = group;
  if (anchor!.op !== 'conv' || anchorInputs.slice(1).includes(-1)) return 'only images of convolutions are computed';
  const [x, w] = anchor!.inputs.map((v) => v?.type as TensorType);
  const { pads, group: groups } = anchor!.attributes as { pads?: readonly Dim[]; group?: number };
  const plain = w!.dims!.slice(2).every((d) => d === 1) && (pads ?? []).every((p) => p === 0) && (groups ?? 1) === 1;
  if (!plain) return 'only images of plain convolutions of single pixels are computed';
  if (x!.dtype !== 'float16' && x!.dtype !== 'bfloat16') return 'only images of 16-bit floats are computed';
  const prologue = prologueOf(group);
  if (!prologue) return 'only maps of an image are computed';
  const { expression, sides, image } = prologue;
  if (sides.length > mostSides) return 'too many operands before a convolution';
  const shared = sides.every((i) => {
    const type = node.inputs[i]!.type as TensorType;
    return type.dtype === x!.dtype && isShared(type.dims!, x!.dims!);
  });
  if (!shared) return 'only operands that pixels share are read before a convolution';
  if (argumentsOf(group.expressions()[0]!).includes(image)) return 'only the convolution reads its image';
  if (sides.some((i) => variesByImage(group, i))) {
    const pixels = pixelsOf(group);
    if (typeof pixels !== 'number') return 'pixels are only known at run time';
    if (pixels < leastPixels) return 'images of so few pixels leave no room for what they are scaled by';
  }
  return refuseScalars([expression]);
}

/** Over the axes of the image: one or all along images and channels, one along all others. */
function isShared(dims: readonly Dim[], image: readonly Dim[]): boolean {
  const lead = image.length - dims.length;
  return lead >= 0 && dims.every((d, i) => d === 1 || (lead + i < 2 && provablyEqual(d, image[lead + i]!)));
}

export function variesByImage(group: GroupView, side: number): boolean {
  const { dims } = group.node.inputs[side]!.type as TensorType;
  return dims!.length === (group.anchor!.inputs[0]!.type as TensorType).dims!.length && dims![0] !== 1;
}

/** Of an image of the result. */
export function pixelsOf(group: GroupView): Dim {
  return productOf((group.anchor!.outputs[0]!.type as TensorType).dims!.slice(2));
}

/** Bytes of a stage of the ring that the sides take; `rows` of the tile, `depthBytes` of each. */
export function sideBytes(group: GroupView, rows: number, depthBytes: number): number {
  const prologue = prologueOf(group);
  return prologue ? prologue.sides.length * imagesOf(group, prologue, rows) * depthBytes : 0;
}

/** Images that a tile of so many rows meets at most. */
function imagesOf(group: GroupView, { sides }: Prologue, rows: number): number {
  const pixels = pixelsOf(group) as number;
  return sides.some((i) => variesByImage(group, i)) ? Math.floor((rows + pixels - 2) / pixels) + 1 : 1;
}

/** `struct Prologue` of gemm/prologue.cuh, and the sources of its sides. */
export function printPrologue(group: GroupView, problem: Problem, context: EmitContext, args: Arguments): string {
  const prologue = prologueOf(group);
  if (!prologue) return 'struct Prologue { static constexpr bool none = true; };';
  const { sides } = prologue;
  const { dtype, dims } = group.anchor!.inputs[0]!.type as TensorType;
  const type = cxxType(dtype);
  const vary = sides.some((i) => variesByImage(group, i));
  const sources = sides.map((input, i) => {
    const { offset, strides } = broadcastView(context.view(input)!, dims!);
    const { text } = printSource(
      {
        name: `Side${String(i)}`,
        type,
        bytes: elementBytes,
        pointer: args.input(input, type),
        offset,
        axes: {
          batch: [0],
          own: [strides[0]!],
          depth: problem.depth.map((_, k) => (k === problem.depth.length - 1 ? strides[1]! : 0)),
          windows: [],
        },
        batch: problem.batch,
        own: [vary ? dims![0]! : 1],
        depth: problem.depth,
        constant: false,
        padded: false,
        leastCopyBytes: 4,
        alongRows: false,
      },
      args,
    );
    return text;
  });
  return [
    ...sources,
    'struct Prologue {',
    '  static constexpr bool none = false;',
    `  static constexpr int sides = ${String(sides.length)}, pixels = ${String(vary ? (pixelsOf(group) as number) : 0)};`,
    '  template <template <typename...> typename List>',
    `  using Sources = List<${sides.map((_, i) => `Side${String(i)}`).join(', ')}>;`,
    ...printApply(prologue, type),
    '};',
  ].join('\n');
}

/** apply() of gemm/prologue.cuh. */
export function printApply(prologue: Prologue, type: string): string[] {
  const { expression, image, sides } = prologue;
  return [
    `  TW_DEVICE static u32 apply(u32 x, const u32 (&side)[${String(Math.max(1, sides.length))}]) {`,
    ...(isProduct(expression, image) ? [`    return multiply_pair<${type}>(x, side[0]);`] : printPair(prologue, type)),
    '  }',
  ];
}

/** Whether it is the image times one side: exact but for the rounding, so that no wider type is needed. */
function isProduct(e: Scalar, image: number): boolean {
  if (e.op !== 'mul') return false;
  const [a, b] = scalarArgs(e);
  if (a?.op !== 'arg' || b?.op !== 'arg') return false;
  return (a.index === image) !== (b.index === image);
}

function printPair({ expression, image, sides }: Prologue, type: string): string[] {
  const scalars = printScalars([expression], (arg) =>
    arg === image ? 'of_x.v[k]' : `of_side[${String(sides.indexOf(arg))}].v[k]`,
  );
  return [
    `    const auto of_x = bit_cast<Vec<${type}, 2>>(x);`,
    ...(sides.length > 0 ? [`    Vec<${type}, 2> of_side[${String(sides.length)}];`] : []),
    ...sides.map((_, i) => `    of_side[${String(i)}] = bit_cast<Vec<${type}, 2>>(side[${String(i)}]);`),
    `    Vec<${type}, 2> y;`,
    '#pragma unroll',
    '    for (int k = 0; k < 2; ++k) {',
    ...scalars.statements.split('\n').map((l) => `      ${l}`),
    `      y.v[k] = convert<${type}>(${scalars.results[0]!});`,
    '    }',
    '    return bit_cast<u32>(y);',
  ];
}
