/** Kernels that move elements: permutations, joins, cuts, gathers, scatters, resizing. */

import type { Random } from '../../plugins/random.js';
import { batched, constant, type Family } from '../problem.js';
import { one } from './one.js';

const extents = [1, 2, 3, 7, 8, 16, 33, 65];

function permutation(random: Random, rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, i) => i);
  for (let i = rank - 1; i > 0; i--) {
    const k = random.integer(i + 1);
    [axes[i], axes[k]] = [axes[k]!, axes[i]!];
  }
  return axes;
}

export const permute: Family = {
  name: 'permutation',
  problem(random) {
    const rank = one(random, [2, 3, 4, 5]);
    const dims = Array.from({ length: rank }, () => one(random, rank === 5 ? extents.slice(0, 5) : extents));
    const order = permutation(random, dims.length);
    const scale = constant(random.floats([dims[order.at(-1)!]!]));
    return {
      name: `${dims.join('x')} to ${order.join(' ')}`,
      operands: { x: batched(random.floats(dims)), scale },
      layers: (n, o) => {
        const moved = n.addShuffle(n.addActivation(o['x']!, 'relu'), { firstTranspose: order });
        return n.addReduce(n.addElementWise(moved, o['scale']!, 'prod'), 'max', [0]);
      },
    };
  },
};

export const join: Family = {
  name: 'concatenation and slices',
  problem(random) {
    const dims = Array.from({ length: one(random, [2, 3, 4]) }, () => one(random, extents.slice(2)));
    const axis = random.integer(dims.length);
    const other = dims.map((d, i) => (i === axis ? one(random, extents) : d));
    const whole = dims.map((d, i) => (i === axis ? d + other[i]! : d));
    const start = whole.map((d) => random.integer(Math.ceil(d / 2)));
    const stride = whole.map(() => one(random, [1, 1, 2]));
    const size = whole.map((d, i) => Math.max(1, Math.floor((d - start[i]!) / stride[i]!)));
    return {
      name: `${dims.join('x')} and ${other.join('x')} along ${String(axis)}, from ${start.join(' ')} by ${stride.join(' ')}`,
      operands: { a: random.floats(dims), b: random.floats(other) },
      layers: (n, o) => {
        const joined = n.addConcatenation([n.addActivation(o['a']!, 'relu'), o['b']!], axis);
        return n.addUnary(n.addSlice(joined, { start, size, stride }), 'exp');
      },
    };
  },
};

export const gather: Family = {
  name: 'gather',
  problem(random) {
    const dims = Array.from({ length: one(random, [2, 3]) }, () => one(random, extents));
    const axis = random.integer(dims.length);
    const at = Array.from({ length: one(random, [1, 2]) }, () => one(random, extents));
    const indices = random.integers(at, dims[axis]!, one(random, ['int32', 'int64']));
    return {
      name: `${at.join('x')} ${indices.dtype} of ${dims.join('x')} along ${String(axis)}`,
      operands: { x: batched(random.floats(dims)), indices },
      layers: (n, o) => n.addUnary(n.addGather(o['x']!, o['indices']!, { axis }), 'neg'),
    };
  },
};

export const scatter: Family = {
  name: 'scatter',
  problem(random) {
    const dims = Array.from({ length: one(random, [1, 2, 3]) }, () => one(random, extents));
    const axis = random.integer(dims.length);
    const updates = dims.map((d, i) => (i === axis ? one(random, extents) : 1 + random.integer(d)));
    const reduction = one(random, ['add', 'max', 'min', 'mul', 'none']);
    const indices = random.integers(updates, dims[axis]!, one(random, ['int32', 'int64']));
    return {
      name: `${reduction} of ${updates.join('x')} into ${dims.join('x')} along ${String(axis)}`,
      operands: { x: batched(random.floats(dims)), indices, updates: random.floats(updates) },
      layers: (n, o) =>
        n.addOperator('scatterElements', [o['x']!, o['indices']!, o['updates']!], { axis, reduction })[0]!,
    };
  },
};

export const resize: Family = {
  name: 'resize',
  problem(random) {
    const dims = [one(random, [1, 2]), one(random, [1, 3, 8]), one(random, [4, 7, 16]), one(random, [5, 8, 13])];
    const sizes = [dims[0]!, dims[1]!, one(random, [3, 8, 15, 32]), one(random, [4, 10, 26])];
    const mode = one(random, ['nearest', 'linear', 'cubic'] as const);
    const coordinateTransformation = one(random, ['alignCorners', 'asymmetric', 'halfPixel'] as const);
    return {
      name: `${dims.join('x')} to ${sizes.join('x')}, ${mode}, ${coordinateTransformation}`,
      operands: { x: random.floats(dims) },
      layers: (n, o) => n.addResize(o['x']!, { sizes, mode, coordinateTransformation }),
    };
  },
};
