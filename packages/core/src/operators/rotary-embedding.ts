/** rotaryEmbedding: rotates pairs of x [B, H, S, D] by angles whose cos and sin are [B or 1, S, R / 2]; R ≤ D elements turn. */

import { readNumbers, tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';

function inferRotaryEmbedding(c: InferContext): ReturnType<Operator['infer']> {
  const x = c.dims(0);
  const cos = c.dims(1);
  const sin = c.dims(2);
  if (x.length !== 4) c.fail('x must have rank 4: batch, heads, positions, head size');
  if (cos.length !== 3 || sin.length !== 3)
    c.fail('cos and sin must have rank 3: batch, positions, half the rotated size');
  c.agree(x[2]!, cos[1]!, 'positions of x and cos');
  c.agree(cos[2]!, sin[2]!, 'sizes of cos and sin');
  c.agree(cos[1]!, sin[1]!, 'positions of cos and sin');
  c.agree(cos[0]!, sin[0]!, 'batches of cos and sin');
  c.agreeWithin(x[0]!, cos[0]!, 'batches of x and cos');
  if (typeof x[3] === 'number' && typeof cos[2] === 'number' && 2 * cos[2] > x[3])
    c.fail('cos is longer than half the head size');
  return [tensorType(c.tensor(0).dtype, x)];
}

function evaluateRotaryEmbedding(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const [batch, heads, positions, size] = x.dims as [number, number, number, number];
  const [angleBatch, , half] = c.tensor(1).dims as [number, number, number];
  const interleaved = c.attributes['interleaved'] as boolean;
  const values = readNumbers(x);
  const cos = readNumbers(c.tensor(1));
  const sin = readNumbers(c.tensor(2));
  const out = Float64Array.from(values);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let s = 0; s < positions; s++) {
        const at = ((b * heads + h) * positions + s) * size;
        const angle = ((angleBatch === 1 ? 0 : b) * positions + s) * half;
        for (let i = 0; i < half; i++) {
          const first = at + (interleaved ? 2 * i : i);
          const second = at + (interleaved ? 2 * i + 1 : half + i);
          const u = values[first]!;
          const v = values[second]!;
          out[first] = cos[angle + i]! * u - sin[angle + i]! * v;
          out[second] = sin[angle + i]! * u + cos[angle + i]! * v;
        }
      }
    }
  }
  return [tensorFromNumbers(x.dtype, out, x.dims)];
}

export const rotaryEmbedding: Operator = registerOperator({
  name: 'rotaryEmbedding',
  kind: 'opaque',
  inputs: ['x', 'cos', 'sin'],
  attributes: { interleaved: false },
  infer: inferRotaryEmbedding,
  evaluate: evaluateRotaryEmbedding,
  numerics: { safeIn16Bit: true },
});
