/** Random generators and Dropout. */

import { type Dim, type DType, isFloat, isInteger, type Value } from '@tensorwright/core';
import { asScalar, castTo } from './elementwise.js';
import type { ImportContext, ImporterTable } from './importer.js';

function seedOf(c: ImportContext): number | undefined {
  return c.hasAttribute('seed') ? c.float('seed', 0) : undefined;
}

/** Made of given dims, or of the shape of a value whose rank is unknown; integers are drawn as float32. */
function generated(
  c: ImportContext,
  op: string,
  shape: { dims: readonly Dim[] } | { like: Value },
  dtype: DType,
  attributes: Record<string, number>,
  seed: number | undefined = seedOf(c),
): Value {
  if (!isFloat(dtype) && !isInteger(dtype)) c.fail(`attribute 'dtype' cannot be ${dtype}`);
  const known = 'like' in shape ? c.type(shape.like).dims : shape.dims;
  const like = 'like' in shape && !known ? shape.like : undefined;
  const drawn = c.op(op, [like], { ...attributes, dims: known, dtype: isFloat(dtype) ? dtype : 'float32', seed });
  return castTo(c, drawn, dtype);
}

function likeInput(c: ImportContext, op: string, attributes: Record<string, number>): Value {
  const like = c.input(0);
  return generated(c, op, { like }, c.dtype('dtype') ?? c.type(like).dtype, attributes);
}

function ofShape(c: ImportContext, op: string, attributes: Record<string, number>): Value {
  return generated(
    c,
    op,
    { dims: c.ints('shape') ?? c.fail("attribute 'shape' is missing") },
    c.dtype('dtype') ?? 'float32',
    attributes,
  );
}

const normal = (c: ImportContext): Record<string, number> => ({ mean: c.float('mean', 0), scale: c.float('scale', 1) });
const uniform = (c: ImportContext): Record<string, number> => ({ low: c.float('low', 0), high: c.float('high', 1) });

/** True with the probability that the input gives. */
function bernoulli(c: ImportContext): Value {
  const p = c.input(0);
  const wide = castTo(c, p, 'float32');
  const drawn = generated(c, 'randomUniform', { like: p }, 'float32', { low: 0, high: 1 });
  return castTo(c, c.op('less', [drawn, wide]), c.dtype('dtype') ?? c.type(p).dtype);
}

/** Ones in the shape of x. */
function onesLike(c: ImportContext, x: Value, dtype: DType): Value {
  const { dims } = c.type(x);
  return dims
    ? c.op('expand', [c.scalar(1, dtype)], { dims })
    : c.op('expandDynamic', [c.scalar(1, dtype), c.op('shape', [x])]);
}

/** The identity, unless an input since opset 12 asks for training: then elements are dropped and the rest is scaled up. */
function dropout(c: ImportContext): readonly (Value | undefined)[] {
  const x = c.input(0);
  const { dtype } = c.type(x);
  const training = c.opset >= 12 ? c.optional(2) : undefined;
  const mode = training && (c.constantOf(training)?.data[0] ?? training);
  // To opset 9 the mask has the data's dtype.
  if (mode === undefined || mode === 0)
    return [x, c.wants(1) ? onesLike(c, x, c.opset >= 10 ? 'bool' : dtype) : undefined];

  const given = c.optional(1);
  const ratio = given ? asScalar(c, castTo(c, given, 'float32')) : c.scalar(0.5, 'float32');
  // Alone of all, Dropout's seed is an int.
  const seed = c.hasAttribute('seed') ? c.int('seed', 0) : undefined;
  const drawn = generated(c, 'randomUniform', { like: x }, 'float32', { low: 0, high: 1 }, seed);
  const kept = c.op('greaterOrEqual', [drawn, ratio]);
  const factor = castTo(c, c.op('reciprocal', [c.op('sub', [c.scalar(1, 'float32'), ratio])]), dtype);
  const dropped = c.op('where', [kept, c.op('mul', [x, factor]), c.scalar(0, dtype)]);
  if (mode === 1) return [dropped, kept];
  const active = asScalar(c, training!);
  return [c.op('where', [active, dropped, x]), c.op('or', [kept, c.op('not', [active])])];
}

export const randomImporters: ImporterTable = {
  RandomNormal: (c) => ofShape(c, 'randomNormal', normal(c)),
  RandomNormalLike: (c) => likeInput(c, 'randomNormal', normal(c)),
  RandomUniform: (c) => ofShape(c, 'randomUniform', uniform(c)),
  RandomUniformLike: (c) => likeInput(c, 'randomUniform', uniform(c)),
  Bernoulli: bernoulli,
  Multinomial: (c) =>
    c.op('multinomial', [c.input(0)], {
      sampleSize: c.int('sample_size', 1),
      dtype: c.dtype('dtype') ?? 'int32',
      seed: seedOf(c),
    }),
  Dropout: dropout,
};
