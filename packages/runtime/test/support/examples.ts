/** Small plans that together use every part of a header. */

import { createSymbol, GraphBuilder, symbolDim, Tensor, tensorType } from '@tensorwright/core';
import { handMade, type HandMade } from './hand-made.js';

/** y = relu(x · w + b) for x of [batch, 3], and the shape of x as numbers. */
export async function denseExample(): Promise<HandMade> {
  const b = new GraphBuilder();
  const batch = symbolDim(createSymbol('batch', { min: 1, max: 8 }));
  const x = b.input('x', tensorType('float32', [batch, 3]));
  const w = b.constant(new Tensor('float32', [1, 2, 3, 4, 5, 6], [3, 2]));
  const bias = b.constant(new Tensor('float32', [-20, 0.5]));
  const y = b.op('relu', [b.op('add', [b.op('dot', [x, w], { lhs: 'mk', rhs: 'kn', out: 'mn' }), bias])]);
  const shape = b.op('cast', [b.dims([batch, 3])], { to: 'float32' });
  return handMade(
    { inputs: [x], outputs: [y, shape] },
    {
      inputs: ['x'],
      outputs: ['y', 'shape'],
      profiles: [
        { inputs: { x: { min: [1, 3], opt: [2, 3], max: [4, 3] } } },
        { inputs: { x: { min: [6, 3], opt: [6, 3], max: [8, 3] } } },
      ],
    },
  );
}

/** What `denseExample` computes. */
export function dense(x: readonly number[]): number[] {
  const w = [1, 2, 3, 4, 5, 6];
  const bias = [-20, 0.5];
  return Array.from({ length: (x.length / 3) * 2 }, (_, i) => {
    const row = Math.floor(i / 2);
    const column = i % 2;
    return Math.max(0, [0, 1, 2].reduce((sum, k) => sum + x[row * 3 + k]! * w[k * 2 + column]!, 0) + bias[column]!);
  });
}
