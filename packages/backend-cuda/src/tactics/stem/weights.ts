/** A stem's weights as the fragments that lanes load. */

import { memoByKind, Tensor } from '@tensorwright/core';
import type { Geometry } from '../contraction/conv-problem.js';
import { columnPairs, runWords, stepsOf } from './lines.js';

/** How fragments lie: as lanes load them, or as warpgroups' instructions read them. */
export type FragmentOrder = 'lanes' | 'warpgroups';

/** By weights, for either number of zeros that runs begin with and each order. */
const fragmentsOf = memoByKind<Tensor, Tensor>();

/**
 * Weights [outputs, channels, rows, taps] as 16-bit words. The depth is runs [row, channel, zeros, taps and zeros], a
 * step of it two halves of four words, a word two taps. Of 32 output channels, channel 8 · t + 2 · i + e is column
 * 2 · t + e of the i-th eight. For lanes they lie as [step, pair of eight columns, lane, 4, 2]: of lane 4 · g + t, words t
 * of both halves, for column g of both eights; for warpgroups as [step, half, eight columns, column, word, 2].
 * @param lead zeros before the taps of a run: 0 or 1
 */
export function fragments(weights: Tensor, g: Geometry, lead: number, order: FragmentOrder): Tensor {
  return fragmentsOf(weights, `${order} ${String(lead)}`, () => makeFragments(weights, g, lead, order));
}

function makeFragments(weights: Tensor, g: Geometry, lead: number, order: FragmentOrder): Tensor {
  const [outputs, channels, rows, taps] = weights.dims as readonly [number, number, number, number];
  const run = runWords(taps);
  const pairs = columnPairs(g);
  const from = new DataView(weights.bytes.buffer, weights.bytes.byteOffset, weights.bytes.byteLength);
  const bytes = new Uint8Array(stepsOf(g) * pairs * 32 * 16);
  const to = new DataView(bytes.buffer);
  const place = (word: number, column: number): number => {
    const [step, half, t] = [Math.floor(word / 8), Math.floor(word / 4) % 2, word % 4];
    const [eight, c] = [Math.floor(column / 8), column % 8];
    if (order === 'warpgroups') return (((step * 2 + half) * pairs * 2 + eight) * 8 + c) * 4 + t;
    return ((step * pairs + Math.floor(eight / 2)) * 32 + c * 4 + t) * 4 + (eight % 2) * 2 + half;
  };
  for (let m = 0; m < outputs; m++) {
    const column = (m & ~31) + ((m % 8) >> 1) * 8 + ((m % 32) >> 3) * 2 + (m % 2);
    for (let c = 0; c < channels; c++)
      for (let r = 0; r < rows; r++)
        for (let x = 0; x < taps; x++) {
          const word = (r * channels + c) * run + Math.floor((lead + x) / 2);
          const value = from.getUint16((((m * channels + c) * rows + r) * taps + x) * 2, true);
          to.setUint16(place(word, column) * 4 + ((lead + x) % 2) * 2, value, true);
        }
  }
  return Tensor.fromBytes('uint8', bytes, [bytes.length]);
}
