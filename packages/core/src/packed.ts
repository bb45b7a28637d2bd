/** Types below 8 bits: several elements in a byte, lowest bits first. */

import { type DType, dtypeInfo } from './dtype.js';
import { invariant } from './errors.js';

/** Unpacks `count` elements of a type below 8 bits. */
export function unpack(dtype: DType, data: Uint8Array, count: number): Int8Array | Uint8Array {
  const { bits, class: kind } = dtypeInfo(dtype);
  invariant(bits > 0 && bits < 8, `${dtype} is not packed`);
  const signed = kind === 'int';
  const out = signed ? new Int8Array(count) : new Uint8Array(count);
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const signShift = 32 - bits;
  for (let i = 0; i < count; i++) {
    const pattern = (data[Math.floor(i / perByte)]! >> ((i % perByte) * bits)) & mask;
    out[i] = signed ? (pattern << signShift) >> signShift : pattern;
  }
  return out;
}

/** Packs elements of a type below 8 bits, lowest bits first; higher bits of an element are dropped. */
export function pack(dtype: DType, elements: ArrayLike<number>): Uint8Array {
  const { bits } = dtypeInfo(dtype);
  invariant(bits > 0 && bits < 8, `${dtype} is not packed`);
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const out = new Uint8Array(Math.ceil(elements.length / perByte));
  for (let i = 0; i < elements.length; i++) {
    const at = Math.floor(i / perByte);
    out[at] = out[at]! | ((elements[i]! & mask) << ((i % perByte) * bits));
  }
  return out;
}
