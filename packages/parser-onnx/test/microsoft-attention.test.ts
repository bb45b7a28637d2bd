/** com.microsoft's attention operators against ONNX Runtime. */

import { Tensor } from '@tensorwright/core';
import { describe, it } from 'vitest';
import {
  type Comparison,
  expectClose,
  expectLikeOrt,
  integers,
  numbers,
  runHere,
  runOrt,
  sequenceAxes,
} from './support/against-onnxruntime.js';
import { constant, type OneNode } from './support/one-node-model.js';

const domain = 'com.microsoft';
const like = (node: OneNode, comparison: Comparison = {}): Promise<void> =>
  expectLikeOrt(node, { symbolic: sequenceAxes, ...comparison });
const int32 = (values: number[], dims?: number[]): Tensor => new Tensor('int32', values, dims ?? [values.length]);

describe('Attention', () => {
  const x = numbers([2, 4, 8], 1);
  const w = constant(numbers([8, 24], 2, 0.5));
  const b = constant(numbers([24], 3, 0.5));
  const node = (
    inputs: OneNode['inputs'],
    attributes: OneNode['attributes'] = {},
    outputs: OneNode['outputs'] = ['float32'],
  ): OneNode => ({ op: 'Attention', domain, inputs, attributes: { num_heads: 2, ...attributes }, outputs });

  it('projects, splits heads and attends', () => like(node([x, w, b])));
  it('is causal when unidirectional', () => like(node([x, w, b], { unidirectional: 1 })));
  it('takes a mask of positions', () => like(node([x, w, b, int32([1, 1, 0, 0, 1, 1, 1, 0], [2, 4])])));
  it('takes a mask of queries and keys', () =>
    like(node([x, w, b, integers('int32', [2, 4, 4], 0, 1, 5)]), { rtol: 1e-3 }));
  it('takes lengths', () => like(node([x, w, b, int32([3, 2])])));
  it('takes ends and begins', () => like(node([x, w, b, int32([4, 3, 1, 0])]), { symbolic: false }));
  it('takes a past and gives the present', () =>
    like(node([x, w, b, undefined, numbers([2, 2, 2, 3, 4], 4)], { unidirectional: 1 }, ['float32', 'float32'])));
  it('adds a bias to the scores', () => like(node([x, w, b, undefined, undefined, numbers([1, 2, 4, 4], 6)])));
  it('takes other sizes for v and a scale', () =>
    like(
      node([x, constant(numbers([8, 20], 2)), constant(numbers([20], 3))], {
        qkv_hidden_sizes: [8, 8, 4],
        scale: { float: 0.3 },
      }),
    ));
});

/** Parts [2, 3, 2 heads · 4] as [2, 3, 2, parts, 4]. */
function interleaved(parts: readonly Tensor[]): Tensor {
  const out: number[] = [];
  for (let head = 0; head < 12; head++)
    for (const p of parts) out.push(...(p.data as Float32Array).subarray(head * 4, head * 4 + 4));
  return new Tensor('float32', out, [2, 3, 2, parts.length, 4]);
}

describe('MultiHeadAttention', () => {
  const [q, k, v] = [numbers([2, 3, 8], 1), numbers([2, 5, 8], 2), numbers([2, 5, 8], 3)];
  const node = (
    inputs: OneNode['inputs'],
    attributes: OneNode['attributes'] = {},
    outputs: OneNode['outputs'] = ['float32'],
  ): OneNode => ({ op: 'MultiHeadAttention', domain, inputs, attributes: { num_heads: 2, ...attributes }, outputs });

  it('attends across lengths', () => like(node([q, k, v])));
  it('adds biases', () => like(node([q, k, v, constant(numbers([24], 4))]), { symbolic: false }));
  it('masks padded keys', () => like(node([q, k, v, undefined, int32([1, 1, 1, 0, 0, 1, 1, 1, 1, 0], [2, 5])])));
  it('masks by length', () => like(node([q, k, v, undefined, int32([3, 5])])));
  it('adds a bias to the scores', () => like(node([q, k, v, undefined, undefined, numbers([2, 1, 3, 5], 5)])));
  it('takes packed q, k and v, and packed k and v', async () => {
    const [k3, v3] = [numbers([2, 3, 8], 2), numbers([2, 3, 8], 3)];
    const want = await runOrt(node([q, k3, v3]));
    expectClose(await runHere(node([interleaved([q, k3, v3])])), want, {});
    expectClose(await runHere(node([q, interleaved([k3, v3])])), want, {});
  });
  it('takes a past', () =>
    like(
      node(
        [
          q,
          numbers([2, 3, 8], 8),
          numbers([2, 3, 8], 9),
          undefined,
          undefined,
          undefined,
          numbers([2, 2, 4, 4], 10),
          numbers([2, 2, 4, 4], 11),
        ],
        { unidirectional: 1 },
        ['float32', 'float32', 'float32'],
      ),
    ));
  it('takes keys with heads apart', () => like(node([q, numbers([2, 2, 5, 4], 12), numbers([2, 2, 5, 4], 13)])));
});

describe('GroupQueryAttention', () => {
  const [heads, keyHeads, size] = [4, 2, 16];
  const q = (length: number, batch = 1): Tensor => numbers([batch, length, heads * size], 1);
  const kv = (length: number, seed: number, batch = 1): Tensor => numbers([batch, length, keyHeads * size], seed);
  const past = (length: number, seed: number, batch = 1): Tensor => numbers([batch, keyHeads, length, size], seed);
  const three: OneNode['outputs'] = ['float32', 'float32', 'float32'];
  const node = (inputs: OneNode['inputs'], attributes: OneNode['attributes'] = {}): OneNode => ({
    op: 'GroupQueryAttention',
    domain,
    inputs,
    attributes: { num_heads: heads, kv_num_heads: keyHeads, ...attributes },
    outputs: three,
  });
  const caches = [numbers([32, size / 2], 20), numbers([32, size / 2], 21)] as const;

  it('takes a prompt', () =>
    like(node([q(5), kv(5, 2), kv(5, 3), past(0, 4), past(0, 5), int32([4]), int32([5], [])])));
  it('takes a prompt without a past', () =>
    like(node([q(5), kv(5, 2), kv(5, 3), undefined, undefined, int32([4]), int32([5], [])])));
  it('takes one more token', () =>
    like(node([q(1), kv(1, 2), kv(1, 3), past(6, 4), past(6, 5), int32([6]), int32([7], [])])));
  it('rotates queries and keys', () =>
    like(
      node([q(1), kv(1, 2), kv(1, 3), past(6, 4), past(6, 5), int32([6]), int32([7], []), ...caches], { do_rotary: 1 }),
    ));
  it('rotates interleaved', () =>
    like(
      node([q(5), kv(5, 2), kv(5, 3), past(0, 4), past(0, 5), int32([4]), int32([5], []), ...caches], {
        do_rotary: 1,
        rotary_interleaved: 1,
      }),
    ));
  it('takes packed inputs', () =>
    like(
      node([
        numbers([1, 5, (heads + 2 * keyHeads) * size], 6),
        undefined,
        undefined,
        past(0, 4),
        past(0, 5),
        int32([4]),
        int32([5], []),
      ]),
      { symbolic: false },
    ));
  it('attends within a window', () =>
    like(
      node([q(6), kv(6, 2), kv(6, 3), past(0, 4), past(0, 5), int32([5]), int32([6], [])], { local_window_size: 3 }),
    ));
  it('caps and scales the scores', () =>
    like(
      node([q(3), kv(3, 2), kv(3, 3), past(0, 4), past(0, 5), int32([2]), int32([3], [])], {
        softcap: { float: 2 },
        scale: { float: 0.4 },
      }),
    ));
  it('takes samples of different lengths', async () => {
    const ragged = node([
      q(1, 2),
      kv(1, 2, 2),
      kv(1, 3, 2),
      past(6, 4, 2),
      past(6, 5, 2),
      int32([6, 3]),
      int32([7], []),
    ]);
    // Cache positions beyond a sample's length hold anything.
    expectClose(await runHere(ragged), (await runOrt(ragged)).slice(0, 1), {});
  });
  it('adds a bias', () =>
    like(
      node([
        q(1),
        kv(1, 2),
        kv(1, 3),
        past(6, 4),
        past(6, 5),
        int32([6]),
        int32([7], []),
        undefined,
        undefined,
        undefined,
        numbers([1, 1, 1, 7], 8),
      ]),
    ));
  it('lets sinks draw attention away', () =>
    like(
      node([
        q(3),
        kv(3, 2),
        kv(3, 3),
        past(0, 4),
        past(0, 5),
        int32([2]),
        int32([3], []),
        undefined,
        undefined,
        undefined,
        undefined,
        numbers([heads], 9),
      ]),
    ));
  it('smooths the softmax', () =>
    like(node([q(3), kv(3, 2), kv(3, 3), past(0, 4), past(0, 5), int32([2]), int32([3], [])], { smooth_softmax: 1 })));
});

describe('RotaryEmbedding', () => {
  const caches = [constant(numbers([16, 4], 20)), constant(numbers([16, 4], 21))];
  const ids = new Tensor('int64', [0, 3, 5, 1, 2, 3], [2, 3]);
  const node = (inputs: OneNode['inputs'], attributes: OneNode['attributes'] = {}): OneNode => ({
    op: 'RotaryEmbedding',
    domain,
    inputs,
    attributes,
  });
  it('rotates packed heads', () => like(node([numbers([2, 3, 16], 1), ids, ...caches]), { symbolic: false }));
  it('rotates separate heads', () => like(node([numbers([2, 2, 3, 8], 1), ids, ...caches], { interleaved: 1 })));
  it('counts from one position', () => like(node([numbers([2, 2, 3, 8], 1), new Tensor('int64', [4]), ...caches])));
  it('rotates a part', () =>
    like(node([numbers([2, 3, 32], 1), ids, ...caches], { rotary_embedding_dim: 8, num_heads: 2 }), {
      symbolic: false,
    }));
});

describe('quantized and masked forms', () => {
  it('QAttention projects in integers', () =>
    like(
      {
        op: 'QAttention',
        domain,
        inputs: [
          integers('uint8', [2, 4, 8], 0, 255, 1),
          constant(integers('int8', [8, 24], -127, 127, 2)),
          constant(numbers([24], 3)),
          constant(numbers([], 4, 0.01).reshape([])),
          constant(new Tensor('float32', [0.02], [])),
          undefined,
          constant(new Tensor('uint8', [120], [])),
          constant(new Tensor('int8', [3], [])),
        ],
        attributes: { num_heads: 2 },
        outputs: ['float32'],
      },
      { rtol: 1e-3, atol: 1e-4 },
    ));
  it('DecoderMaskedMultiHeadAttention takes one token', async () => {
    const node: OneNode = {
      op: 'DecoderMaskedMultiHeadAttention',
      domain,
      inputs: [
        numbers([2, 1, 8], 1),
        numbers([2, 1, 8], 2),
        numbers([2, 1, 8], 3),
        undefined,
        undefined,
        numbers([2, 2, 6, 4], 4),
        numbers([2, 2, 6, 4], 5),
        int32([3]),
      ],
      attributes: { num_heads: 2, past_present_share_buffer: 1 },
      outputs: ['float32', 'float32', 'float32'],
    };
    expectClose(await runHere(node, sequenceAxes), (await runOrt(node)).slice(0, 1), {});
  });
});
