/** The formula of FusedRotaryEmbedding against ONNX Runtime's RotaryEmbedding. */

import { readNumbers, type Tensor, tensorFromNumbers } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import type { Operand } from '../src/plugins/case.js';
import { fusedRotaryEmbeddingCase } from '../src/plugins/cases/fused-rotary-embedding.js';
import { Random } from '../src/plugins/random.js';

const tensor = (o: Operand, dtype: 'float32' | 'int64' = 'float32'): Tensor =>
  tensorFromNumbers(dtype, o.values, o.dims);

describe('the formula of FusedRotaryEmbedding', () => {
  const known = fusedRotaryEmbeddingCase
    .problems(new Random(1))
    .filter((p) => !p.timed && !['positions of no row', 'no positions'].includes(p.name));

  it.each(known)("is ONNX Runtime's: $name", async (problem) => {
    const { query, key, position_ids: ids, cos_cache: cos, sin_cache: sin } = problem.inputs;
    const wanted = fusedRotaryEmbeddingCase.reference(problem);
    for (const [x, name, heads] of [
      [query!, 'rotated_query', 'num_heads'],
      [key!, 'rotated_key', 'kv_num_heads'],
    ] as const) {
      const { interleaved, rotary_embedding_dim: turning } = problem.fields as Record<string, number>;
      const [y] = await runOrt({
        ...{ op: 'RotaryEmbedding', domain: 'com.microsoft' },
        inputs: [tensor(x), tensor(ids!, 'int64'), tensor(cos!), tensor(sin!)],
        attributes: {
          interleaved: interleaved!,
          rotary_embedding_dim: turning!,
          num_heads: (problem.fields[heads] as number | undefined) ?? x.dims[1]!,
        },
      });
      readNumbers(y!).forEach((v, i) => expect(Math.abs(v - wanted[name]![i]!)).toBeLessThan(1e-5));
    }
  });
});
