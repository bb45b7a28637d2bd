/** Inputs for a run: from files, or seeded, the same on every machine. */

import { type DType, dtypeInfo, elementCount, Tensor, tensorFromNumbers, tensorOf } from '@tensorwright/core';
import { usageError } from '../exit-codes.js';
import { type ResolvedShapes, resolveShapes, type ShapedInput, type ShapeSpec } from '../options/shapes.js';
import type { Reporter } from '../output/reporter.js';
import { readValueFiles } from './value-files.js';

export interface TypedInput extends ShapedInput {
  readonly dtype: DType | undefined;
}

export interface InputOptions {
  readonly shapes?: ShapeSpec | undefined;
  /** Shapes of inputs that `shapes` leaves open: a profile's optimum. */
  readonly otherwise?: ReadonlyMap<string, readonly number[]>;
  /** 'name:file' */
  readonly load?: readonly string[] | undefined;
  readonly seed?: number | undefined;
}

/** @throws usage error when inputs cannot be made or files do not fit */
export async function inputValues(
  inputs: readonly TypedInput[],
  options: InputOptions,
  reporter: Reporter,
): Promise<Record<string, Tensor>> {
  const files = await readValueFiles('--load-inputs', options.load ?? [], inputs);
  const spec = new Map(options.shapes);
  // A file that knows its shape decides it.
  for (const [name, { content }] of files)
    if (content instanceof Tensor && !spec.has(name)) spec.set(name, content.dims);
  const resolved: ResolvedShapes = resolveShapes(inputs, spec, options.otherwise);
  if (resolved.assumed.length > 0)
    reporter.note(`dimensions ${resolved.assumed.join(', ')} are taken to be 1; --shapes gives others`);
  return Object.fromEntries(
    inputs.map((input, i) => {
      const dims = resolved.dims.get(input.name)!;
      const file = files.get(input.name);
      if (file?.content instanceof Tensor) return [input.name, fitting(file.path, file.content, dims)];
      if (input.dtype === undefined)
        throw usageError(`input '${input.name}' is no tensor: values for it cannot be given on the command line`);
      if (!file) return [input.name, seededTensor(input.name, input.dtype, dims, (options.seed ?? 1) * 7919 + i)];
      return [input.name, fromRaw(file.path, input.dtype, file.content, dims)];
    }),
  );
}

function fitting(path: string, tensor: Tensor, dims: readonly number[]): Tensor {
  if (tensor.dims.join() === dims.join()) return tensor;
  throw usageError(`--load-inputs: '${path}' is [${tensor.dims.join(', ')}], and --shapes says [${dims.join(', ')}]`);
}

function fromRaw(path: string, dtype: DType, bytes: Uint8Array, dims: readonly number[]): Tensor {
  try {
    return Tensor.fromBytes(dtype, bytes, dims);
  } catch (error) {
    throw usageError(`--load-inputs: '${path}': ${(error as Error).message}; --shapes gives other extents`);
  }
}

export function seededTensor(name: string, dtype: DType, dims: readonly number[], seed: number): Tensor {
  const count = elementCount(dims);
  const next = generator(seed);
  switch (dtypeInfo(dtype).class) {
    case 'float':
      return tensorFromNumbers(dtype, Float64Array.from({ length: count }, next), dims);
    case 'int':
    case 'uint': {
      const largest = Math.min(50, 2 ** (dtypeInfo(dtype).bits - 1) - 1);
      const integer = integerFor(name, largest, next);
      const wide = dtype === 'int64' || dtype === 'uint64';
      return tensorOf(
        dtype,
        Array.from({ length: count }, () => (wide ? BigInt(integer()) : integer())),
        dims,
      );
    }
    case 'bool':
      return tensorOf(dtype, new Uint8Array(count).fill(1), dims);
    case 'complex':
      return tensorOf(
        dtype,
        Array.from({ length: count }, () => [next(), next()] as const),
        dims,
      );
    case 'string':
      return tensorOf(dtype, new Array<string>(count).fill('text'), dims);
  }
}

/** Masks are all ones, token types zeros; everything else are small indices, such as any table has. */
function integerFor(name: string, largest: number, next: () => number): () => number {
  if (/mask/i.test(name)) return () => 1;
  if (/type/i.test(name)) return () => 0;
  return () => Math.floor(next() * largest);
}

/** xorshift32. */
function generator(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
