/** Weights of an excitation as its blocks read them: each block's share dense, with zeros up to whole copies. */

import { dtypeInfo, memoByKind, Tensor } from '@tensorwright/core';

const packedOf = memoByKind<Tensor, Tensor>();

/** [hidden, channels] as [rows, pitch]. */
export function packDown(weights: Tensor, rows: number, pitch: number): Tensor {
  return packedOf(weights, `down ${String(rows)} ${String(pitch)}`, () => {
    const [hidden, channels] = weights.dims as [number, number];
    const size = dtypeInfo(weights.dtype).bits / 8;
    const bytes = new Uint8Array(rows * pitch * size);
    for (let j = 0; j < hidden; j++)
      bytes.set(weights.bytes.subarray(j * channels * size, (j + 1) * channels * size), j * pitch * size);
    return new Tensor('uint8', bytes, [bytes.length]);
  });
}

/** [channels, hidden] as [parts, hidden, slice]. */
export function packUp(weights: Tensor, parts: number, slice: number): Tensor {
  return packedOf(weights, `up ${String(parts)} ${String(slice)}`, () => {
    const [channels, hidden] = weights.dims as [number, number];
    const size = dtypeInfo(weights.dtype).bits / 8;
    const bytes = new Uint8Array(parts * hidden * slice * size);
    for (let c = 0; c < channels; c++) {
      const [part, within] = [Math.floor(c / slice), c % slice];
      for (let j = 0; j < hidden; j++) {
        const from = (c * hidden + j) * size;
        bytes.set(weights.bytes.subarray(from, from + size), ((part * hidden + j) * slice + within) * size);
      }
    }
    return new Tensor('uint8', bytes, [bytes.length]);
  });
}
