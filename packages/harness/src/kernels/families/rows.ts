/** Kernels that work along axes: softmax, norms, reductions, sums up to each place, the largest values. */

import type { Random } from '../../plugins/random.js';
import { batched, constant, type Family } from '../problem.js';
import { one } from './one.js';

function dimsOf(random: Random): number[] {
  const rank = one(random, [2, 3, 4]);
  const long = one(random, [0, 1, 2, 3]) % rank;
  return Array.from({ length: rank }, (_, i) =>
    i === long ? one(random, [1, 31, 64, 100, 513, 1024, 2049]) : one(random, [1, 2, 3, 7, 8]),
  );
}

export const softmax: Family = {
  name: 'softmax',
  problem(random) {
    const dims = dimsOf(random);
    const axis = random.integer(dims.length);
    return {
      name: `${dims.join('x')} along ${String(axis)}`,
      operands: { x: batched(random.floats(dims, -2, 2)), scale: constant(random.floats([dims.at(-1)!], 0.5, 2)) },
      layers: (n, o) => n.addSoftMax(n.addElementWise(o['x']!, o['scale']!, 'prod'), axis),
    };
  },
};

export const layerNorm: Family = {
  name: 'layer norm',
  problem(random) {
    // Of few elements, the norm of nearly equal ones is rounding errors alone.
    const dims = [...dimsOf(random).slice(1), one(random, [31, 64, 100, 768, 1025])];
    const count = one(random, [1, 1, 2]) % dims.length || 1;
    const axes = Array.from({ length: count }, (_, i) => dims.length - count + i);
    const own = axes.map((a) => dims[a]!);
    return {
      name: `${dims.join('x')}, last ${String(count)}`,
      operands: {
        x: batched(random.floats(dims, -2, 2)),
        residual: batched(random.floats(dims, -2, 2)),
        scale: constant(random.floats(own, 0.5, 2)),
        shift: constant(random.floats(own)),
      },
      layers: (n, o) =>
        n.addNormalization(n.addElementWise(o['x']!, o['residual']!, 'sum'), o['scale']!, o['shift'], axes),
    };
  },
};

export const groupNorm: Family = {
  name: 'group norm',
  problem(random) {
    const groups = one(random, [1, 2, 4, 8]);
    const channels = groups * one(random, [1, 3, 4, 10]);
    const dims = [one(random, [1, 3]), channels, one(random, [5, 8, 33]), one(random, [7, 16])];
    return {
      name: `${dims.join('x')}, ${String(groups)} groups`,
      operands: {
        x: batched(random.floats(dims, -2, 2)),
        scale: constant(random.floats([channels], 0.5, 2)),
        shift: constant(random.floats([channels])),
      },
      layers: (n, o) =>
        n.addActivation(n.addNormalization(o['x']!, o['scale']!, o['shift'], [1, 2, 3], { groups }), 'relu'),
    };
  },
};

export const reduction: Family = {
  name: 'reduction',
  problem(random) {
    const dims = dimsOf(random);
    const operation = one(random, ['sum', 'avg', 'max', 'min'] as const);
    const axes = dims.map((_, i) => i).filter(() => one(random, [false, true]));
    if (axes.length === 0) axes.push(random.integer(dims.length));
    const keepDims = one(random, [false, true]);
    return {
      name: `${operation} of ${dims.join('x')} over ${axes.join(' ')}`,
      operands: { x: batched(random.floats(dims, -2, 2)) },
      // Sums of terms of one sign: those that cancel are rounding errors alone.
      layers: (n, o) =>
        n.addUnary(n.addReduce(n.addActivation(o['x']!, 'sigmoid'), operation, axes, { keepDims }), 'log'),
    };
  },
};

export const cumulative: Family = {
  name: 'cumulative sum',
  problem(random) {
    const dims = dimsOf(random);
    const axis = random.integer(dims.length);
    const attributes = { axis, exclusive: one(random, [false, true]), reverse: one(random, [false, true]) };
    return {
      name: `${dims.join('x')} along ${String(axis)}${attributes.exclusive ? ', exclusive' : ''}${attributes.reverse ? ', reverse' : ''}`,
      operands: { x: batched(random.floats(dims, -2, 2)) },
      layers: (n, o) => n.addOperator('cumSum', [o['x']!], attributes)[0]!,
    };
  },
};

export const topK: Family = {
  name: 'top k',
  problem(random) {
    const dims = dimsOf(random);
    const axis = random.integer(dims.length);
    const k = 1 + random.integer(Math.min(dims[axis]!, 70));
    const operation = one(random, ['max', 'min'] as const);
    return {
      name: `${String(k)} ${operation} of ${dims.join('x')} along ${String(axis)}`,
      operands: { x: batched(random.floats(dims, -2, 2)) },
      layers: (n, o) => n.addTopK(o['x']!, operation, k, axis).values,
    };
  },
};
