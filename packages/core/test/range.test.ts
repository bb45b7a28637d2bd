/** `range` of constants that give no count of elements. */

import { GraphBuilder, Tensor, tensorType } from '@tensorwright/core';
import { expect, it } from 'vitest';

it.each([
  [0, 1, 0, /delta must not be 0/],
  [0.5, 1, 0, /delta must not be 0/],
  [0, Infinity, 1, /Infinity elements are too many/],
  [NaN, 1, 1, /NaN elements are too many/],
  [0, 1, 1e-30, /e\+29 elements are too many/],
])('from %d to %d by %d is refused', (start, limit, delta, message) => {
  const b = new GraphBuilder();
  const numbers = [start, limit, delta].map((v) => b.constant(new Tensor('float32', [v], [])));
  expect(() => b.op('range', numbers)).toThrow(message);
});

it.each([
  [0, 1, 0.25, 4],
  [1, 0, -0.3, 4],
  [1, 0, 1, 0],
])('from %d to %d by %d has %d elements', (start, limit, delta, count) => {
  const b = new GraphBuilder();
  const numbers = [start, limit, delta].map((v) => b.constant(new Tensor('float32', [v], [])));
  expect(b.op('range', numbers).type).toEqual(tensorType('float32', [count]));
});
