/** Seeded inputs for any model: usual extents for named dimensions, plausible values by dtype and name. */

import { type Dim, formatDim, type Network, Tensor, type TensorType } from '@tensorwright/core';

/** Extents of dimensions by name; others are 1. */
export type Extents = Readonly<Record<string, number>>;
export const usualExtents: Extents = { batch: 1, sequence: 128, height: 256, width: 256, past: 64 };

export function usualDims(dims: readonly Dim[], extents: Extents): number[] {
  return dims.map((d) => (typeof d === 'number' ? d : (extents[formatDim(d)] ?? 1)));
}

/** xorshift32: the same inputs on every machine. */
function generator(seed: number): () => number {
  let s = seed >>> 0 || 1;
  return () => {
    s ^= s << 13;
    s >>>= 0;
    s ^= s >>> 17;
    s ^= s << 5;
    s >>>= 0;
    return s / 2 ** 32;
  };
}

export function seededInputs(network: Network, extents: Extents): Record<string, Tensor> {
  return Object.fromEntries(
    network.inputs.map(({ name, value }, i) => {
      const type = value.type as TensorType;
      return [name, seededTensor(name, type.dtype, usualDims(type.dims ?? [], extents), i + 1)];
    }),
  );
}

/** The same inputs, every float32 element rounded the other way: what they do to outputs is no fault of a runtime. */
export function nudged(inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, t]) => {
      if (t.dtype !== 'float32') return [name, t];
      const data = (t.data as Float32Array).map((v, i) => v * (1 + (i % 2 === 0 ? 1 : -1) * 2 ** -24));
      return [name, new Tensor('float32', data, t.dims)];
    }),
  );
}

function seededTensor(name: string, dtype: string, dims: number[], seed: number): Tensor {
  const count = dims.reduce((p, d) => p * d, 1);
  const next = generator(seed * 7919);
  switch (dtype) {
    case 'float32':
      return new Tensor(
        'float32',
        Float32Array.from({ length: count }, () => next()),
        dims,
      );
    case 'int64':
      return new Tensor(
        'int64',
        BigInt64Array.from({ length: count }, () => integer(name, next)),
        dims,
      );
    case 'int32':
      return new Tensor(
        'int32',
        Int32Array.from({ length: count }, () => Number(integer(name, next))),
        dims,
      );
    case 'bool':
      return new Tensor('bool', new Uint8Array(count).fill(1), dims);
    default:
      throw new Error(`input '${name}': no seeded values for ${dtype}`);
  }
}

/** Masks are all ones, token types zeros, everything else indices that any table has. */
function integer(name: string, next: () => number): bigint {
  if (/mask/i.test(name)) return 1n;
  if (/type/i.test(name)) return 0n;
  return BigInt(Math.floor(next() * 50));
}
