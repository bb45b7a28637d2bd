/** Contractions of narrow elements: which have kernels of their own, and which run in float32 on widened operands. */

import {
  constantDataOf,
  domainOf,
  type EmittedOperand,
  type GroupView,
  readNumbers,
  Tensor,
  type TensorType,
  type Value,
} from '@tensorwright/core';
import { dtypeOf } from './operands.js';

/** With fewer channels a group than this, panels of a narrow product would be mostly padding. */
const leastGroupChannels = 16;

/** Products of bfloat16, and of 8-bit integers into int32, outside of small groups of channels. */
export function isNarrow(group: GroupView): boolean {
  const anchor = group.anchor!;
  if (anchor.op !== 'dot' && anchor.op !== 'conv') return false;
  const [x, w, bias] = anchor.inputs.map(dtypeOf);
  const integers = isByte(x) && isByte(w) && (bias === undefined || bias === 'int32');
  const floats = x === 'bfloat16' && w === 'bfloat16' && (bias === undefined || widenable(group, bias));
  if (!(integers && dtypeOf(anchor.outputs[0]) === 'int32') && !floats) return false;
  if (anchor.op === 'dot' || anchor.attributes['group'] === 1) return true;
  const [outputs, channels] = (anchor.inputs[1]!.type as TensorType).dims!;
  const groups = anchor.attributes['group'] as number;
  return (
    integers ||
    (typeof outputs === 'number' &&
      typeof channels === 'number' &&
      Math.min(outputs / groups, channels) >= leastGroupChannels)
  );
}

function widenable(group: GroupView, bias: string): boolean {
  return bias === 'float32' || constantDataOf(group.node.inputs[group.anchorInputs[2]!]) !== undefined;
}

function isByte(dtype: string | undefined): boolean {
  return dtype === 'int8' || dtype === 'uint8';
}

/** All of the anchor's values are floats of at most 32 bits. */
export function isWidened(group: GroupView): boolean {
  const floats = (v: Value | undefined): boolean =>
    v === undefined || (v.type.kind === 'tensor' && domainOf(v.type.dtype) === 'f32');
  return group.anchor!.inputs.every(floats) && floats(group.anchor!.outputs[0]) && floats(group.outputs[0]);
}

/** The same numbers in float32. */
export function asFloat32(t: Tensor): Tensor {
  return t.dtype === 'float32' ? t : new Tensor('float32', Float32Array.from(readNumbers(t)), t.dims);
}

/** A constant operand of the group in float32, where it is a narrower float. */
export function widened(group: GroupView, index: number): EmittedOperand | undefined {
  const constant = constantDataOf(group.node.inputs[index]);
  if (!constant || constant.dtype === 'string' || domainOf(constant.dtype) !== 'f32') return undefined;
  return { kind: 'constant', tensor: asFloat32(constant.tensor) };
}
