/** Broadcasts of extents that only the run knows. */

import { describe, expect, it } from 'vitest';
import { broadcastDim, createSymbol, type Dim, evaluateDim, mulDims, provablyEqual, symbolDim } from '../src/index.js';

const symbols = ['n', 'm', 'k'].map((name) => createSymbol(name));
const [n, m, k] = symbols.map(symbolDim) as [Dim, Dim, Dim];
const at = (d: Dim | undefined, values: readonly number[]): number =>
  evaluateDim(d!, (s) => values[symbols.indexOf(s)]);

describe('broadcastDim', () => {
  it.each([
    [0, 0, 0],
    [0, 1, 0],
    [1, 1, 1],
    [1, 7, 7],
    [7, 7, 7],
    [5_000_000, 1, 5_000_000],
    [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1],
  ])('of %d and %d is %d', (a, b, y) => {
    expect([at(broadcastDim(n, m), [a, b]), at(broadcastDim(m, n), [b, a])]).toEqual([y, y]);
    expect(at(broadcastDim(broadcastDim(n, m)!, k), [a, b, b])).toBe(y);
  });

  it('takes extents that are many times another', () => {
    const y = broadcastDim(mulDims(n, 5_000_000), m);
    expect(
      [
        [3, 15_000_000],
        [3, 1],
        [0, 1],
        [0, 0],
      ].map((values) => at(y, values)),
    ).toEqual([15_000_000, 15_000_000, 0, 0]);
  });

  it('is the same in any order', () => {
    const all = (...dims: Dim[]): Dim => dims.reduce((a, b) => broadcastDim(a, b)!);
    for (const other of [all(m, k, n), all(k, n, m), all(n, all(m, k)), all(n, m, k, m, n)])
      expect(provablyEqual(all(n, m, k), other)).toBe(true);
  });
});
