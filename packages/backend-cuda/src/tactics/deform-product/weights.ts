/** The weights of a deformConv in the order of its steps. */

import { dtypeInfo, memoByKind, Tensor } from '@tensorwright/core';
import { batchesOf } from '../hopper/matrix.js';
import { permuteColumns } from '../hopper/packed-columns.js';
import type { DeformProblem } from './problem.js';

const packedOf = memoByKind<Tensor, Tensor>();

/** Columns of a row of float32 weights, which are copied four at a time. */
export function pitchOf({ columns }: DeformProblem): number {
  return Math.ceil(columns / 4) * 4;
}

/** A problem whose weights are known at build time. */
export type KnownDeform = DeformProblem & { readonly weights: Tensor };

export function isKnown(problem: DeformProblem): problem is KnownDeform {
  return problem.weights !== undefined;
}

/** Elements that the weights of a problem take in the order of its steps. */
export function packedElements(problem: DeformProblem): number {
  const { groups, columns, depth, dtype } = problem;
  return groups * stepCount(problem) * depth * (dtypeInfo(dtype).bits === 16 ? columns : pitchOf(problem));
}

/**
 * Weights [M, C / group, taps y, taps x] as [group][chunk][tap][column][depth], or, of float32, as
 * [group][chunk][tap][depth][pitch], with zeros where a chunk has fewer channels and where groups were merged.
 */
export function stepWeights(problem: KnownDeform): Tensor {
  const { weights, geometry, depth, chunks } = problem;
  // The same weights may serve other groups of channels, and other groups of displacements, which end chunks elsewhere.
  const steps = chunks.map((list) => list.map(({ channel, count }) => [channel, count]));
  const key = JSON.stringify([geometry.group, depth, steps]);
  return packedOf(weights, key, () => pack(problem));
}

function pack(problem: KnownDeform): Tensor {
  const { weights, groups, columns, depth, chunks, geometry } = problem;
  const [, perGroup, tapsY, tapsX] = weights.dims as [number, number, number, number];
  const taps = tapsY * tapsX;
  const bytes = dtypeInfo(weights.dtype).bits / 8;
  const alongDepth = bytes === 2;
  const rowSize = alongDepth ? columns * depth : depth * pitchOf(problem);
  const out = new Uint8Array(packedElements(problem) * bytes);
  const ownOutputs = weights.dims[0]! / geometry.group;
  let step = 0;
  for (let g = 0; g < groups; g++)
    for (const { channel, count } of chunks[g]!)
      for (let tap = 0; tap < taps; tap++) {
        for (let column = 0; column < columns; column++) {
          const output = g * columns + column;
          const first = Math.floor(output / ownOutputs) * perGroup;
          for (let k = 0; k < count; k++) {
            const own = channel + k - first;
            if (own < 0 || own >= perGroup) continue;
            const from = ((output * perGroup + own) * taps + tap) * bytes;
            const to = step * rowSize + (alongDepth ? column * depth + k : k * pitchOf(problem) + column);
            for (let b = 0; b < bytes; b++) out[to * bytes + b] = weights.bytes[from + b]!;
          }
        }
        step++;
      }
  return Tensor.fromBytes('uint8', out, [out.length]);
}

/** Steps of a group. */
export function stepCount({ geometry, chunks }: DeformProblem): number {
  return geometry.kernel.reduce((a, b) => a * b, 1) * chunks[0]!.length;
}

/** The same of 16 bits, columns in the order in which a thread's sums are neighbours, and zeros up to a whole period. */
export function packedStepWeights(problem: KnownDeform): { readonly tensor: Tensor; readonly columns: number } {
  const { groups, columns, depth } = problem;
  const batch = batchesOf(groups * stepCount(problem), columns * depth);
  const packed = permuteColumns(stepWeights(problem), { depth, rows: columns, rowStride: depth, batch }, 2);
  return { tensor: packed.tensor, columns: packed.matrix.rows };
}

/** First channel, count and displacements' group of each group's chunks, and a 0. */
export function chunkTable({ chunks }: DeformProblem): Tensor {
  const numbers = chunks.flatMap((list) => list.flatMap((c) => [c.channel, c.count, c.group, 0]));
  return new Tensor('int32', Int32Array.from(numbers), [numbers.length]);
}
