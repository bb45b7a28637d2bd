/** Contractions of well-known networks, for timing: names, operands, attributes. */

import type { Attributes, DType } from '@tensorwright/core';

export interface Shape {
  readonly name: string;
  readonly op: 'dot' | 'conv' | 'convTranspose';
  readonly dtype: DType;
  readonly x: readonly number[];
  /** Constant weights; the bias has their outputs' extent. */
  readonly w: readonly number[];
  readonly attributes: Attributes;
  /** Multiply-adds. */
  readonly work: number;
}

function linear(dtype: DType, name: string, m: number, n: number, k: number): Shape {
  const attributes = { lhs: 'mk', rhs: 'kn', out: 'mn' };
  return {
    name: `${name} ${String(m)}x${String(n)}x${String(k)} ${dtype}`,
    op: 'dot',
    dtype,
    x: [m, k],
    w: [k, n],
    attributes,
    work: m * n * k,
  };
}

interface Window {
  readonly stride?: number;
  readonly group?: number;
}

/** A square image and window, padded so that a unit stride keeps the extent. */
function image(
  dtype: DType,
  batch: number,
  channels: number,
  size: number,
  outputs: number,
  taps: number,
  { stride = 1, group = 1 }: Window = {},
): Shape {
  const pad = (taps - 1) / 2;
  const out = Math.floor((size - 1) / stride) + 1;
  return {
    name: `conv ${[batch, channels, size, size].join('x')} to ${String(outputs)}, ${String(taps)}x${String(taps)}/${String(stride)}${group > 1 ? ` in ${String(group)}` : ''} ${dtype}`,
    op: 'conv',
    dtype,
    x: [batch, channels, size, size],
    w: [outputs, channels / group, taps, taps],
    attributes: { strides: [stride, stride], pads: [pad, pad, pad, pad], group },
    work: batch * out * out * outputs * (channels / group) * taps * taps,
  };
}

const bert = [1, 8, 32].flatMap((batch) => [
  linear('float16', `bert qkv b${String(batch)}`, 128 * batch, 2304, 768),
  linear('float16', `bert proj b${String(batch)}`, 128 * batch, 768, 768),
  linear('float16', `bert ffn1 b${String(batch)}`, 128 * batch, 3072, 768),
  linear('float16', `bert ffn2 b${String(batch)}`, 128 * batch, 768, 3072),
]);

const resnet = [1, 8, 32].flatMap((batch) => [
  image('float16', batch, 3, 224, 64, 7, { stride: 2 }),
  image('float16', batch, 64, 56, 64, 3),
  image('float16', batch, 64, 56, 256, 1),
  image('float16', batch, 256, 56, 64, 1),
  image('float16', batch, 128, 28, 128, 3),
  image('float16', batch, 256, 14, 256, 3),
  image('float16', batch, 1024, 14, 256, 1),
  image('float16', batch, 512, 7, 512, 3),
  image('float16', batch, 512, 7, 2048, 1),
]);

export const shapes: readonly Shape[] = [
  // Over at once, even where kernels are emulated.
  linear('float16', 'tiny', 24, 32, 64),
  ...bert,
  ...resnet,
  linear('float16', 'square', 2048, 2048, 2048),
  linear('float16', 'square', 4096, 4096, 4096),
  linear('int8', 'square', 4096, 4096, 4096),
  linear('float32', 'square', 2048, 2048, 2048),
  linear('float32', 'bert ffn1 b1', 128, 3072, 768),
  linear('float16', 'gpt2 fc', 1, 3072, 768),
  linear('float16', 'gpt2 head', 1, 50257, 768),
  linear('float16', 'gpt2 fc b8', 8, 3072, 768),
  linear('float32', 'gpt2 fc', 1, 3072, 768),
  image('int8', 32, 128, 28, 128, 3),
  image('float32', 1, 64, 56, 64, 3),
  image('float16', 32, 144, 56, 144, 3, { group: 144 }),
  image('float16', 1, 144, 56, 144, 3, { group: 144, stride: 2 }),
  image('float16', 8, 128, 56, 128, 3, { group: 32 }),
];
