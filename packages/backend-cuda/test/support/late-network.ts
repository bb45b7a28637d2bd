/** A network with steps behind extents that the values decide, and inputs for it. */

import { GraphBuilder, type Network, Tensor, tensorType, type TensorType } from '@tensorwright/core';

const elements = 90;
export const most: number = elements;

/** y0 = where x is positive, y1 = softmax of sums of shares of what is there. */
export function lateNetwork(): Network {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', [elements]));
  const places = b.op('nonZero', [b.op('greater', [x, b.scalar(0, 'float32')])]);
  const count = (places.type as TensorType).dims![1]!;
  const picked = b.op('gather', [x, b.op('reshape', [places], { dims: [count] })], { axis: 0 });
  const shares = b.op('softmax', [picked], { axis: 0 });
  const sums = b.op('cumSum', [shares, b.scalar(0, 'int64')]);
  const outputs = [places, b.op('softmax', [b.op('mul', [sums, picked])], { axis: 0 })];
  return {
    name: 'late',
    graph: { inputs: [x], outputs },
    builder: b,
    inputs: [{ name: 'x', value: x }],
    outputs: outputs.map((value, i) => ({ name: `y${String(i)}`, value })),
    metadata: {},
    opsets: {},
  };
}

/** So many are positive; which ones, depends on the seed. */
export function lateSample(positive: number, seed: number): Tensor {
  const data = new Float32Array(elements).fill(-1);
  for (let i = 0; i < positive; i++) data[(i * 7 + seed) % elements] = 0.5 + ((i * 13 + seed * 5) % 11) / 10;
  return new Tensor('float32', data, [elements]);
}
