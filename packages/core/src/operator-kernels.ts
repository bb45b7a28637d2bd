/**
 * Kernels for an operator from outside the backend that runs them, which is how plugins bring theirs. They race beside
 * the backend's own tactics.
 */

import type { Layout } from './backend.js';
import type { Dim } from './dim.js';
import type { DType } from './dtype.js';
import type { Attributes, Node } from './graph.js';
import type { Tensor } from './tensor.js';
import type { TensorType, Type } from './type.js';

/** A node as such kernels see it: dense tensors of known rank. */
export interface KernelProblem {
  readonly inputs: readonly (KernelOperand | undefined)[];
  readonly outputs: readonly KernelOperand[];
  readonly attributes: Attributes;
}

export interface KernelOperand {
  readonly dtype: DType;
  readonly dims: readonly Dim[];
}

/** Of a node whose operands are tensors of known rank. */
export function kernelProblem({ inputs, outputs, attributes }: Node): KernelProblem {
  const operand = ({ type }: { readonly type: Type }): KernelOperand => {
    const { dtype, dims } = type as TensorType;
    return { dtype, dims: dims! };
  };
  return { inputs: inputs.map((v) => v && operand(v)), outputs: outputs.map(operand), attributes };
}

/** What a kernel's parameter is given. */
export type CudaArgument =
  /** `const T*`, or a null pointer where the input is omitted. */
  | { readonly kind: 'input'; readonly index: number }
  /** `T*`; where the kernels take an epilogue, an object whose `store(index, value)` writes the element. */
  | { readonly kind: 'output'; readonly index: number }
  /** A tensor made at build time, in device memory. */
  | { readonly kind: 'constant'; readonly tensor: Tensor }
  /** An integer: a literal of the text where it is known at build time. */
  | { readonly kind: 'dim'; readonly value: Dim }
  /** A C++ expression: `0.5f`, `true`. */
  | { readonly kind: 'literal'; readonly text: string }
  /** `void*`, so many bytes into the scratch memory. Offsets should be multiples of 256. */
  | { readonly kind: 'workspace'; readonly offset: Dim }
  /** `i64*`, where launches that count write the extents that they find. */
  | { readonly kind: 'extents' };

export interface CudaLaunch {
  /** A kernel of the source, with template arguments where they cannot be deduced: 'scale', 'scale<4>'. */
  readonly kernel: string;
  /** Blocks in x, y, z; a launch with none is left out. */
  readonly grid: readonly [Dim, Dim, Dim];
  readonly block: readonly [number, number, number];
  /** Dynamic shared memory in bytes. Default: 0. */
  readonly sharedBytes?: number;
  /** Blocks of a cluster (compute capability 9.0 and newer). Default: no clusters. */
  readonly cluster?: readonly [number, number, number];
  readonly arguments: readonly CudaArgument[];
}

/** CUDA C++ text and its launches, in order. */
export interface CudaKernels {
  readonly source: string;
  /** Files of the kernel library that the source builds on, in order: 'sort', 'selection' … Default: the prelude alone. */
  readonly uses?: readonly string[];
  readonly launches: readonly CudaLaunch[];
  /**
   * Launches before those, which write the extents that the values decide, in the order of their first use in the
   * outputs. Scratch memory stays as they leave it. Default: none.
   */
  readonly count?: readonly CudaLaunch[];
  /** Scratch memory in bytes. Default: none. */
  readonly workspaceBytes?: Dim;
}

/** One way to run the operator. */
export interface KernelVariant {
  /** Letters, digits and '-'; unique among the variants of a problem. */
  readonly name: string;
  readonly inputs: readonly Layout[];
  readonly outputs: readonly Layout[];
  /** Microseconds, as a guess that ranks variants. Default: the time to move the operands. */
  readonly estimate?: number;
  readonly kernels: () => CudaKernels;
  /** Changes whenever the variant's kernels for the problem do, where `producer` does not tell. Default: it tells. */
  readonly identity?: () => string;
}

export interface OperatorKernels {
  /** The plugin, for messages and names of tactics: 'acme::LeakyScale 1'. */
  readonly plugin: string;
  /** Who provides them, and what changes whenever they do: part of a timing-cache entry. */
  readonly producer: string;
  /** Why they do not take this problem; undefined when they do. */
  refuses(problem: KernelProblem): string | undefined;
  /** Whether map nodes that follow the operator's one output may be computed where its elements are stored. Default: no. */
  readonly epilogue?: boolean;
  /** Whether they count the extents that only the values decide. Default: no, and calls with such extents are not theirs. */
  readonly counts?: boolean;
  /** For each output, the input that kernels change in place: both arguments are the same pointer. Default: none. */
  readonly aliases?: readonly (number | undefined)[];
  /** Best first. */
  variants(problem: KernelProblem): readonly KernelVariant[];
}

const provided = new Map<string, OperatorKernels[]>();

/** Adds kernels of the backend 'cuda' for an operator. The result takes them away again. */
export function provideCudaKernels(operator: string, kernels: OperatorKernels): () => void {
  const list = provided.get(operator) ?? [];
  provided.set(operator, [...list, kernels]);
  return () => {
    provided.set(
      operator,
      (provided.get(operator) ?? []).filter((k) => k !== kernels),
    );
  };
}

export function cudaKernelsFor(operator: string): readonly OperatorKernels[] {
  return provided.get(operator) ?? [];
}
