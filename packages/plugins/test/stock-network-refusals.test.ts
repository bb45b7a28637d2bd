/** What the stock plugins that normalize, embed, rotate and cache say of calls that are wrong. */

import { Tensor, TensorwrightError } from '@tensorwright/core';
import {
  embLayerNorm,
  fusedRotaryEmbedding,
  groupNorm,
  instanceNorm,
  pagedKvCacheUpdate,
  skipLayerNorm,
} from '@tensorwright/plugins/stock';
import { describe, expect, it } from 'vitest';
import { add, type Call, withFields, withInput } from './support/stock-call.js';

const weights = (...dims: number[]): Tensor =>
  new Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);

const normalized: Call = {
  plugin: skipLayerNorm,
  inputs: { input: ['float16', 'S', 'B', 6, 1, 1], skip: ['float16', 'S', 'B', 6, 1, 1] },
  fields: { gamma: weights(6), beta: weights(6) },
};
const embedded: Call = {
  plugin: embLayerNorm,
  inputs: { token_id: ['int32', 'S', 'B'], segment_id: ['int32', 'S', 'B'], input_mask: ['int32', 'S', 'B'] },
  fields: {
    ...{ bert_embeddings_layernorm_gamma: weights(4), bert_embeddings_layernorm_beta: weights(4) },
    ...{ bert_embeddings_word_embeddings: weights(9, 4), bert_embeddings_token_type_embeddings: weights(2, 4) },
    bert_embeddings_position_embeddings: weights(5, 4),
  },
};
const rotated: Call = {
  plugin: fusedRotaryEmbedding,
  inputs: {
    ...{ query: ['float16', 'B', 4, 'S', 8], key: ['float16', 'B', 2, 'S', 8], position_ids: ['int64', 'B', 'S'] },
    ...{ cos_cache: ['float32', 'P', 4], sin_cache: ['float32', 'P', 4] },
  },
};
const grouped: Call = {
  plugin: groupNorm,
  inputs: { input: ['float16', 'N', 6, 'H'], scale: ['float32', 6], bias: ['float32', 6] },
  fields: { num_groups: 3 },
};
const alone: Call = {
  plugin: instanceNorm,
  inputs: { input: ['float16', 'N', 6, 'H'] },
  fields: { scales: weights(6), bias: weights(6) },
};
const cached: Call = {
  plugin: pagedKvCacheUpdate,
  inputs: {
    ...{ key_cache: ['int8', 'pages', 8, 2, 4], value_cache: ['int8', 'pages', 8, 2, 4] },
    ...{ key: ['int8', 'B', 'S', 2, 4], value: ['int8', 'B', 'S', 2, 4] },
    ...{ block_table: ['int32', 'B', 'columns'], past_lengths: ['int32', 'B'] },
  },
};

describe('calls that are right', () => {
  it.each(Object.entries({ normalized, embedded, rotated, grouped, alone, cached }))('%s', (_, call) => {
    expect(() => add(call)).not.toThrow();
  });
});

describe('calls that are refused', () => {
  it.each([
    [withInput(withInput(normalized, 'input', 'int32', 6), 'skip', 'int32', 6), /input must be float32, float16 or/],
    [withInput(normalized, 'skip', 'float32', 'S', 'B', 6, 1, 1), /input is float16, skip is float32/],
    [withInput(normalized, 'skip', 'float16', 'S', 'B', 5, 1, 1), /skip has shape/],
    [withFields(normalized, { beta: weights(5) }), /gamma has 6 elements, beta 5/],
    [withFields(normalized, { gamma: weights(5), beta: weights(5) }), /as many elements as gamma: 5/],
    [withInput(embedded, 'token_id', 'int64', 'S', 'B'), /token_id is int64, expected int32/],
    [withInput(embedded, 'token_id', 'int32', 6, 'B'), /there are 6 positions, the table has 5/],
    [withFields(embedded, { full_mask: 1 }), /full_mask must be 0/],
    [withFields(embedded, { output_fp16: 2 }), /output_fp16 must be 0 or 1, is 2/],
    [withFields(embedded, { bert_embeddings_word_embeddings: weights(9, 3) }), /has no rows of 4/],
    [
      withInput(withInput(rotated, 'query', 'int8', 'B', 4, 'S', 8), 'key', 'int8', 'B', 2, 'S', 8),
      /query must be float/,
    ],
    [withInput(rotated, 'cos_cache', 'bfloat16', 'P', 4), /expected float16 or float32/],
    [withInput(rotated, 'cos_cache', 'float32', 'P', 3), /cos_cache has shape/],
    [withFields(rotated, { rotary_embedding_dim: 3 }), /3 elements of heads of 8 cannot turn/],
    [withInput(rotated, 'query', 'float16', 'B', 'S', 32), /num_heads 0/],
    [withInput(grouped, 'input', 'int32', 'N', 6, 'H'), /input must hold floats, is int32/],
    [withInput(grouped, 'scale', 'bool', 6), /scale must hold floats, is bool/],
    [withFields(grouped, { num_groups: 4 }), /4 groups do not divide 6 channels/],
    [withInput(alone, 'input', 'string', 'N', 6, 'H'), /input must hold floats, is string/],
    [withFields(alone, { bias: weights(5) }), /scales has 6 elements, bias 5/],
    [withInput(cached, 'key_cache', 'bool', 'pages', 8, 2, 4), /key_cache must be one of float32/],
    [withInput(cached, 'key', 'float16', 'B', 'S', 2, 4), /key is float16, key_cache is int8/],
    [withInput(cached, 'past_lengths', 'int64', 'B'), /past_lengths is int64, expected int32/],
    [withFields(cached, { layout: 'NDH' }), /layout must be NHD or HND, not 'NDH'/],
  ] satisfies [Call, RegExp][])('%#', (call, message) => {
    expect(() => add(call)).toThrow(message);
    try {
      add(call);
    } catch (error) {
      expect(TensorwrightError.is(error) && error.code).toBe('ERR_INVALID_ARGUMENT');
    }
  });
});
