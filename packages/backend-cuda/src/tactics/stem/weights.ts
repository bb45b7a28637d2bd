/** A stem's weights as the fragments that lanes load. */

import { Tensor } from '@tensorwright/core';
import type { Geometry } from '../contraction/conv-problem.js';
import { columnPairs, runWords, stepsOf } from './lines.js';

/** By weights, for either number of zeros that runs begin with. */
const cache = new WeakMap<Tensor, Tensor[]>();

/**
 * Weights [outputs, channels, rows, taps] as 16-bit words [step, pair of eight columns, lane, 4, 2]. Of lane 4 · g + t
 * the words are pairs of taps t of both halves of the step, for column g of both eights. The depth is runs
 * [row, channel, zeros, taps and zeros]. Of 32 output channels, channel 8 · t + 2 · i + e is column 2 · t + e of the
 * i-th eight.
 * @param lead zeros before the taps of a run: 0 or 1
 */
export function fragments(weights: Tensor, g: Geometry, lead: number): Tensor {
  let known = cache.get(weights);
  if (!known) cache.set(weights, (known = []));
  return (known[lead] ??= makeFragments(weights, g, lead));
}

function makeFragments(weights: Tensor, g: Geometry, lead: number): Tensor {
  const [outputs, channels, rows, taps] = weights.dims as readonly [number, number, number, number];
  const run = runWords(taps);
  const pairs = columnPairs(g);
  const from = new DataView(weights.bytes.buffer, weights.bytes.byteOffset, weights.bytes.byteLength);
  const bytes = new Uint8Array(stepsOf(g) * pairs * 32 * 16);
  const to = new DataView(bytes.buffer);
  for (let m = 0; m < outputs; m++) {
    const column = (m & ~31) + ((m % 8) >> 1) * 8 + ((m % 32) >> 3) * 2 + (m % 2);
    for (let c = 0; c < channels; c++)
      for (let r = 0; r < rows; r++)
        for (let x = 0; x < taps; x++) {
          const word = (r * channels + c) * run + Math.floor((lead + x) / 2);
          const step = Math.floor(word / 8);
          const half = Math.floor(word / 4) % 2;
          const lane = (column % 8) * 4 + (word % 4);
          const slot = (Math.floor(column / 8) % 2) * 2 + half;
          const place = ((step * pairs + Math.floor(column / 16)) * 32 + lane) * 4 + slot;
          const value = from.getUint16((((m * channels + c) * rows + r) * taps + x) * 2, true);
          to.setUint16(place * 4 + ((lead + x) % 2) * 2, value, true);
        }
  }
  return Tensor.fromBytes('uint8', bytes, [bytes.length]);
}
