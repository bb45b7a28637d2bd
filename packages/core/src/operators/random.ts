/** Random generators. With a seed the same numbers come in every run, without one different numbers. */

import type { Dim } from '../dim.js';
import { type DType, isFloat } from '../dtype.js';
import { readNumbers, tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type Operator, registerOperator } from '../operator.js';
import { RandomStream } from '../philox.js';
import { elementCount } from '../tensor.js';
import { tensorType } from '../type.js';

function stream(c: EvaluateContext): RandomStream {
  return new RandomStream(c.attributes['seed'] as number | undefined);
}

/** A generator of a tensor of independent numbers: of given dims, or of the run-time shape of an input. */
function generator(
  name: string,
  attributes: Readonly<Record<string, unknown>>,
  draw: (random: RandomStream, c: EvaluateContext) => number,
): Operator {
  return registerOperator({
    name,
    kind: 'opaque',
    stateful: true,
    inputs: ['like?'],
    attributes: { dims: undefined, dtype: 'float32', seed: undefined, ...attributes },
    infer: (c) => {
      const dtype = c.attributes['dtype'] as DType;
      if (!isFloat(dtype)) c.fail(`cannot make ${dtype}`);
      const dims = c.has(0) ? c.tensor(0).dims : (c.attributes['dims'] as readonly Dim[]);
      return [tensorType(dtype, dims)];
    },
    evaluate: (c) => {
      const dims = c.has(0) ? c.tensor(0).dims : (c.attributes['dims'] as readonly Dim[]).map((d) => c.dim(d));
      const random = stream(c);
      const out = new Float64Array(elementCount(dims));
      for (let i = 0; i < out.length; i++) out[i] = draw(random, c);
      return [tensorFromNumbers(c.attributes['dtype'] as DType, out, dims)];
    },
  });
}

export const randomOperators: readonly Operator[] = [
  generator('randomUniform', { low: 0, high: 1 }, (random, c) => {
    const [low, high] = [c.attributes['low'] as number, c.attributes['high'] as number];
    return low + (high - low) * random.uniform();
  }),
  generator(
    'randomNormal',
    { mean: 0, scale: 1 },
    (random, c) => (c.attributes['mean'] as number) + (c.attributes['scale'] as number) * random.normal(),
  ),
  /** Class indices drawn by unnormalized log-probabilities [batch, classes]. */
  registerOperator({
    name: 'multinomial',
    kind: 'opaque',
    stateful: true,
    inputs: ['x'],
    attributes: { sampleSize: 1, dtype: 'int32', seed: undefined },
    infer: (c) => {
      const { dtype } = c.tensor(0);
      const dims = c.dims(0);
      if (!isFloat(dtype) || dims.length !== 2) c.fail('x must be a float tensor [batch, classes]');
      return [tensorType(c.attributes['dtype'] as DType, [dims[0]!, c.attributes['sampleSize'] as number])];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const [batch, classes] = x.dims as [number, number];
      const samples = c.attributes['sampleSize'] as number;
      const source = readNumbers(x);
      const random = stream(c);
      const out = new Float64Array(batch * samples);
      for (let b = 0; b < batch; b++) {
        const row = source.subarray(b * classes, (b + 1) * classes);
        const top = row.reduce((m, v) => Math.max(m, v), -Infinity);
        const cumulative = row.map((v) => Math.exp(v - top));
        for (let k = 1; k < classes; k++) cumulative[k] = cumulative[k]! + cumulative[k - 1]!;
        for (let s = 0; s < samples; s++) {
          const target = random.uniform() * cumulative[classes - 1]!;
          const found = cumulative.findIndex((v) => v > target);
          out[b * samples + s] = found < 0 ? classes - 1 : found;
        }
      }
      return [tensorFromNumbers(c.attributes['dtype'] as DType, out, [batch, samples])];
    },
  }),
];
