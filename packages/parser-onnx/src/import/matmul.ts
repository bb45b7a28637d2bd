/** MatMul and Gemm: labelled dots, without reshaping the operands. */

import { broadcastDim, type Dim, formatDim, provablyEqual, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { expand, reshape, scale } from './shorthand.js';

const batchLabels = 'abcdefghijlopqrstuvwxyz';

/** numpy.matmul of any ranks as one dot. Batch dimensions of 1 that meet larger ones are dropped. */
export function matmul(c: ImportContext, a: Value, b: Value): Value {
  const lhs = c.dimsOf(a);
  const rhs = c.dimsOf(b);
  if (lhs.length === 0 || rhs.length === 0) c.fail('a scalar cannot be multiplied as a matrix');
  const lhsBatch = lhs.slice(0, -2);
  const rhsBatch = rhs.slice(0, -2);
  const rank = Math.max(lhsBatch.length, rhsBatch.length);
  if (rank > batchLabels.length) c.unsupported(`${String(rank)} batch dimensions`);
  const left = { labels: '', dims: [] as Dim[], full: [] as Dim[] };
  const right = { labels: '', dims: [] as Dim[], full: [] as Dim[] };
  let out = '';
  for (let i = 0; i < rank; i++) {
    const label = batchLabels[i]!;
    out += label;
    const x = lhsBatch[lhsBatch.length - rank + i];
    const y = rhsBatch[rhsBatch.length - rank + i];
    const target = x === undefined ? y! : y === undefined ? x : broadcastDim(x, y);
    if (target === undefined) c.fail(`batch extents ${formatDim(x!)} and ${formatDim(y!)} do not broadcast`);
    for (const [side, own, other] of [
      [left, x, y],
      [right, y, x],
    ] as const) {
      // An extent of 1 that broadcasts is left out; one that may be 1 at run time is expanded.
      if (own === undefined || (own === 1 && other !== undefined && !provablyEqual(own, other))) continue;
      side.labels += label;
      side.dims.push(own);
      side.full.push(target);
    }
  }
  const operand = (v: Value, side: typeof left, matrix: readonly Dim[], labels: string): [Value, string] => {
    const kept = reshape(c, v, [...side.dims, ...matrix]);
    return [expand(c, kept, [...side.full, ...matrix]), side.labels + labels];
  };
  const [x, lhsLabels] = operand(a, left, lhs.slice(-2), lhs.length === 1 ? 'k' : 'mk');
  const [y, rhsLabels] = operand(b, right, rhs.slice(-2), rhs.length === 1 ? 'k' : 'kn');
  const free = (lhs.length === 1 ? '' : 'm') + (rhs.length === 1 ? '' : 'n');
  return c.op('dot', [x, y], { lhs: lhsLabels, rhs: rhsLabels, out: out + free });
}

/** alpha · A′ · B′ + beta · C. */
export function gemm(c: ImportContext, a: Value, b: Value, bias: Value | undefined): Value {
  const lhs = c.int('transA', 0) === 0 ? 'mk' : 'km';
  const rhs = c.int('transB', 0) === 0 ? 'kn' : 'nk';
  if (c.rank(a) !== 2 || c.rank(b) !== 2) c.fail('A and B must have rank 2');
  const product = scale(c, c.op('dot', [a, b], { lhs, rhs, out: 'mn' }), c.float('alpha', 1));
  const beta = c.float('beta', 1);
  return bias === undefined || beta === 0 ? product : c.op('add', [product, scale(c, bias, beta)]);
}

export const matmulImporters: ImporterTable = {
  MatMul: (c) => matmul(c, c.input(0), c.input(1)),
  Gemm: (c) => gemm(c, c.input(0), c.input(1), c.optional(2)),
};
