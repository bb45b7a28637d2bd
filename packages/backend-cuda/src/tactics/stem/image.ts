/** The image that a stem reads: an operand, or what maps make of one, pixel by pixel, on its way into the kernel. */

import { constantOf, type EmitContext, type GroupView, type Scalar, type TensorType } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { argumentsOf, printScalars, refuseScalars } from '../../print/scalars.js';
import { cxxType } from '../../print/types.js';
import { index, indexType } from '../../print/views.js';
import { geometryOf } from '../contraction/conv-problem.js';
import { refuseContraction } from '../contraction/group.js';
import { dtypeOf, sameExtents } from '../operands.js';
import { runWords } from './lines.js';

/** Of the input. */
const mostChannels = 8;
/** Of the result: a block makes all of them. */
const mostOutputs = 128;
const mostTaps = 16;
/** Words of two taps that an output reads: beyond it the weights leave no room, and larger tiles read them less often. */
const mostWords = 320;

interface Image {
  /** Of the group's inputs. */
  readonly input: number;
  /** What the convolution reads, over that input. */
  readonly expression: Scalar | undefined;
}

export function imageOf(group: GroupView): Image | undefined {
  const [input] = group.anchorInputs;
  if (input !== -1) return input === undefined ? undefined : { input, expression: undefined };
  const expression = group.prologue(0);
  const [only, ...others] = argumentsOf(expression);
  if (only === undefined || others.length > 0) return undefined;
  const given = group.node.inputs[only]?.type;
  const wanted = group.anchor!.inputs[0]!.type as TensorType;
  if (given?.kind !== 'tensor' || !given.dims || !sameExtents(given.dims, wanted.dims!)) return undefined;
  return { input: only, expression };
}

/** The group as if the image were an operand of the convolution. */
export function plainGroup(group: GroupView): GroupView {
  const image = imageOf(group)!;
  return { ...group, anchorInputs: [image.input, ...group.anchorInputs.slice(1)] };
}

export function refuseStem(group: GroupView): string | undefined {
  if (group.anchor?.op !== 'conv') return 'not a convolution';
  const image = imageOf(group);
  if (!image) return 'only maps of one image are computed before a stem';
  const reason = refuseContraction(plainGroup(group)) ?? (image.expression && refuseScalars([image.expression]));
  if (reason !== undefined) return reason;
  const { x, w, kernel, dilations, strides, group: groups } = geometryOf(group);
  const dtype = dtypeOf(group.anchor.inputs[0])!;
  if (kernel.length !== 2 || groups !== 1) return 'not an image';
  if ((dtype !== 'float16' && dtype !== 'bfloat16') || dtypeOf(group.anchor.inputs[1]) !== dtype)
    return 'not of 16-bit floats';
  const [taps, channels] = [kernel[1]!, x[1] as number];
  if (channels > mostChannels || (w[0] as number) > mostOutputs) return 'not a stem';
  if (taps > mostTaps || dilations[1] !== 1 || strides[1]! > 8) return 'not a stem';
  if (kernel[0]! * channels * runWords(taps) > mostWords) return 'not a stem';
  return constantOf(group.node.inputs[group.anchorInputs[1]!]) ? undefined : 'not a convolution with known weights';
}

/** `Vec<T, N> pixels<N>(a, n, c, y, x)`. */
export function printPixels(group: GroupView, context: EmitContext, args: Arguments): string {
  const { input, expression } = imageOf(group)!;
  const view = context.view(input)!;
  const element = cxxType(dtypeOf(group.anchor!.inputs[0])!);
  const number = indexType(view);
  const at = index(
    view,
    ['n', 'c', 'y', 'x'].map((name) => `${number}(${name})`),
    args,
  );
  const pointer = args.input(input, cxxType(dtypeOf(group.node.inputs[input])!));
  const printed = expression
    ? printScalars([expression], () => 'read.v[i]')
    : { statements: '', results: ['read.v[i]'] };
  return `  template <int N>
  TW_DEVICE static Vec<${element}, N> pixels(const Arguments& a, i32 n, i32 c, i32 y, i32 x) {
    const auto read = load_vec<N>(${pointer} + ${at});
    Vec<${element}, N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      ${printed.statements}
      result.v[i] = convert<${element}>(${printed.results[0]!});
    }
    return result;
  }`;
}
