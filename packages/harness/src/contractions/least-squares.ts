/** The method of Levenberg and Marquardt: parameters that make the sum of squared residuals small. */

const rounds = 100;
const difference = 1e-5;
const enough = 1e-7;

export function leastSquares(residuals: (x: readonly number[]) => number[], start: readonly number[]): number[] {
  let x = [...start];
  let r = residuals(x);
  let damping = 1e-2;
  for (let round = 0; round < rounds; round++) {
    const columns = x.map((_, i) => {
      const moved = residuals(x.map((v, k) => (k === i ? v + difference : v)));
      return moved.map((v, k) => (v - r[k]!) / difference);
    });
    const gradient = columns.map((c) => dot(c, r));
    const normal = columns.map((a) => columns.map((b) => dot(a, b)));
    for (;;) {
      const damped = normal.map((row, i) => row.map((v, k) => (i === k ? v * (1 + damping) + 1e-12 : v)));
      const step = solve(damped, gradient);
      const next = x.map((v, i) => v - step[i]!);
      const there = residuals(next);
      const gain = 1 - dot(there, there) / dot(r, r);
      if (gain > 0) {
        [x, r, damping] = [next, there, damping / 3];
        if (gain < enough) return x;
        break;
      }
      damping *= 4;
      if (damping > 1e8) return x;
    }
  }
  return x;
}

function dot(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Gaussian elimination with pivots. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const n = right.length;
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let k = i + 1; k < n; k++) if (Math.abs(rows[k]![i]!) > Math.abs(rows[pivot]![i]!)) pivot = k;
    [rows[i], rows[pivot]] = [rows[pivot]!, rows[i]!];
    for (let k = i + 1; k < n; k++) {
      const factor = rows[k]![i]! / rows[i]![i]!;
      for (let c = i; c <= n; c++) rows[k]![c]! -= factor * rows[i]![c]!;
    }
  }
  const x = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let sum = rows[i]![n]!;
    for (let c = i + 1; c < n; c++) sum -= rows[i]![c]! * x[c]!;
    x[i] = sum / rows[i]![i]!;
  }
  return x;
}
