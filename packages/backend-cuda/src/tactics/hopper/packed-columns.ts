/** Constant operands with their columns in the order in which a thread's sums are neighbours. */

import { Tensor } from '@tensorwright/core';
import { batchesOf, type Matrix } from './matrix.js';

const period = 32;

/** packed_column() of native/cuda/kernels/gemm/wgmma_result.cuh. */
export function packedColumn(place: number): number {
  return Math.floor((place % 8) / 2) * 8 + Math.floor(place / 8) * 2 + (place % 2);
}

interface PermutedColumns {
  readonly tensor: Tensor;
  readonly matrix: Matrix<number>;
}

const cache = new WeakMap<Tensor, PermutedColumns>();

/** The rows of `matrix` are columns of the product; zeros fill the last period. */
export function permuteColumns(packed: Tensor, matrix: Matrix<number>, elementBytes: number): PermutedColumns {
  const known = cache.get(packed);
  if (known) return known;
  const columns = matrix.rows;
  const padded = Math.ceil(columns / period) * period;
  const pitch = matrix.rowStride * elementBytes;
  const batches = matrix.batch[0]?.extent ?? 1;
  const bytes = new Uint8Array((batches as number) * padded * pitch);
  for (let b = 0; b < (batches as number); b++)
    for (let place = 0; place < padded; place++) {
      const column = place - (place % period) + packedColumn(place % period);
      if (column >= columns) continue;
      const at = (b * columns + column) * pitch;
      bytes.set(packed.bytes.subarray(at, at + pitch), (b * padded + place) * pitch);
    }
  const result = {
    tensor: new Tensor('uint8', bytes, [bytes.length]),
    matrix: { ...matrix, rows: padded, batch: batchesOf(batches as number, padded * matrix.rowStride) },
  };
  cache.set(packed, result);
  return result;
}
