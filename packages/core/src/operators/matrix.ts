/** det, inverse: of the square matrices in the last two dimensions. */

import type { Dim } from '../dim.js';
import { readNumbers, tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';

function squareDims(c: InferContext): readonly Dim[] {
  const dims = c.dims(0);
  if (dims.length < 2) c.fail('x must have rank 2 or more');
  c.agree(dims.at(-1)!, dims.at(-2)!, 'rows and columns');
  return dims;
}

/** Brings row-major `a` (n × columns) to reduced form by Gauss–Jordan with partial pivoting. @returns the determinant of the left square. */
function eliminate(a: Float64Array, n: number, columns: number): number {
  let determinant = 1;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(a[i * columns + k]!) > Math.abs(a[pivot * columns + k]!)) pivot = i;
    const value = a[pivot * columns + k]!;
    if (value === 0) return 0;
    if (pivot !== k) {
      for (let j = 0; j < columns; j++) {
        const swap = a[k * columns + j]!;
        a[k * columns + j] = a[pivot * columns + j]!;
        a[pivot * columns + j] = swap;
      }
      determinant = -determinant;
    }
    determinant *= value;
    for (let j = k; j < columns; j++) a[k * columns + j] = a[k * columns + j]! / value;
    for (let i = 0; i < n; i++) {
      const factor = a[i * columns + k]!;
      if (i === k || factor === 0) continue;
      for (let j = k; j < columns; j++) a[i * columns + j] = a[i * columns + j]! - factor * a[k * columns + j]!;
    }
  }
  return determinant;
}

function evaluateDet(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const n = x.dims.at(-1)!;
  const dims = x.dims.slice(0, -2);
  const values = readNumbers(x);
  const out = Float64Array.from({ length: elementCount(dims) }, (_, i) =>
    eliminate(values.slice(i * n * n, (i + 1) * n * n), n, n),
  );
  return [tensorFromNumbers(x.dtype, out, dims)];
}

function evaluateInverse(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const n = x.dims.at(-1)!;
  const values = readNumbers(x);
  const out = new Float64Array(x.size);
  for (let at = 0; at < x.size; at += n * n) {
    const wide = new Float64Array(n * 2 * n);
    for (let i = 0; i < n; i++) {
      wide.set(values.subarray(at + i * n, at + (i + 1) * n), i * 2 * n);
      wide[i * 2 * n + n + i] = 1;
    }
    if (eliminate(wide, n, 2 * n) === 0) c.fail('a matrix is singular');
    for (let i = 0; i < n; i++) out.set(wide.subarray(i * 2 * n + n, (i + 1) * 2 * n), at + i * n);
  }
  return [tensorFromNumbers(x.dtype, out, x.dims)];
}

export const matrixOperators: readonly Operator[] = [
  registerOperator({
    name: 'det',
    kind: 'opaque',
    inputs: ['x'],
    infer: (c) => [tensorType(c.tensor(0).dtype, squareDims(c).slice(0, -2))],
    evaluate: evaluateDet,
  }),
  registerOperator({
    name: 'inverse',
    kind: 'opaque',
    inputs: ['x'],
    infer: (c) => [tensorType(c.tensor(0).dtype, squareDims(c))],
    evaluate: evaluateInverse,
  }),
];
