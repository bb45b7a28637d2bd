/** How a plugin runs on a GPU: its kernels, and what launches them for a call. */

import type { Dim, DType, Layout, Tensor } from '@tensorwright/core';
import type { FieldSchema, FieldValues } from './fields.js';
import type { ByInput, ByOutput, Names, Shaped } from './plugin.js';

/** An operand of CUDA kernels: given as an argument, it is the pointer to its first element. */
export interface KernelTensor extends Shaped {
  /** Number of elements. */
  readonly size: Dim;
  /** The element's type in kernels: 'f32', 'f16', 'bf16', 'i64' … */
  readonly type: string;
}

/** A float parameter, a text of C++, a place in the scratch memory and that of the extents, as arguments; see `arg`. */
export interface SpecialArgument {
  readonly kind: 'literal' | 'workspace' | 'extents';
  readonly value: string | Dim;
}

/** A tensor, an integer (known or symbolic), a boolean, or what `arg` makes. undefined: a null pointer. */
export type LaunchArgument = KernelTensor | Tensor | Dim | boolean | SpecialArgument | undefined;

/** One launch of a kernel. */
export interface Launch {
  /** A `__global__` function of the source. */
  readonly kernel: string;
  /** Blocks: one number for x alone. One without blocks is left out. */
  readonly grid: Dim | readonly Dim[];
  /** Threads of a block, 1 to 1024 in all: one number for x alone. */
  readonly block: number | readonly number[];
  /** Dynamic shared memory in bytes. Default: 0. */
  readonly sharedBytes?: number;
  /** Blocks of a cluster (compute capability 9.0 and newer). Default: no clusters. */
  readonly cluster?: readonly number[];
  /** Of the kernel's parameters, in order. */
  readonly arguments: readonly LaunchArgument[];
}

/** A call as `cuda.refuses` sees it. */
export interface CallContext<I extends Names, O extends Names, F extends FieldSchema> {
  /** By name; undefined: omitted. */
  readonly inputs: ByInput<I, KernelTensor>;
  readonly outputs: ByOutput<O, KernelTensor>;
  /** All of them, with their defaults. */
  readonly fields: FieldValues<F>;
}

/** A call as `cuda.launches`, `cuda.count` and `cuda.workspaceBytes` see it. */
export interface LaunchContext<I extends Names, O extends Names, F extends FieldSchema> extends CallContext<I, O, F> {
  /** One of `tactics`, or '' where there are none. */
  readonly tactic: string;
  /** One of `formats`: the layouts that the operands are in. */
  readonly format: Format;
}

/** Layouts of operands; those not named are row-major. */
export type Format = Readonly<Record<string, Layout>>;

/** How a plugin runs on a GPU. */
export interface CudaImplementation<I extends Names, O extends Names, F extends FieldSchema> {
  /**
   * CUDA C++, compiled for the device, the types and the shapes of each call when an engine is built, and kept in its
   * plan. Kernels are `__global__` functions, templates where they serve several types. There are no headers; the
   * prelude of our kernel library is there: `f16`, `bf16` (which convert to `float`), `convert<T>(float)` …
   */
  readonly source: string;
  /**
   * Files of our kernel library (native/cuda/kernels, without '.cuh') that the source builds on, in order: 'sort',
   * 'selection' … They may change with every version. Default: the prelude alone.
   */
  readonly uses?: readonly string[];
  /** Dtypes that the kernels take as operands. Default: float32. */
  readonly dtypes?: readonly DType[];
  /** Why a call of these dtypes is not for the kernels; undefined when it is. Default: all are. */
  refuses?(context: CallContext<I, O, F>): string | undefined;
  /**
   * Whether elementwise layers that follow are computed where the kernels store an element, for plugins with one output:
   * as an argument, the output is then an object instead of a pointer, of a type that the kernel leaves to its template.
   * `y.store(index, value)` writes an element, and with a `Vec<f32, W>` W of them, at once where the index is a multiple of
   * W; values are of any float type, not rounded yet. Every element has to be written so, and none read back. Default: no.
   */
  readonly epilogue?: boolean;
  /**
   * Layouts by operand ('rows', 'channelsLast', 'headsInner'; those not named are row-major), of which the builder picks
   * one. Default: all row-major.
   */
  readonly formats?: readonly Format[];
  /** Names of ways to launch, of which the builder takes the fastest. Default: one without a name. */
  readonly tactics?: readonly string[];
  /** Launches in order, one or more. Together they write every element of the outputs; of aliases, those that change. */
  launches(context: LaunchContext<I, O, F>): readonly Launch[];
  /**
   * Launches that find out the extents that only the values decide; they run before `launches`. They write int64s to
   * `arg.extents()`, in the order in which the extents first occur in the outputs' dims, and what else they find into the
   * scratch memory, where `launches` finds it. The outputs have no memory yet. A negative extent fails the run: the
   * inputs' values do not fit each other. Default: none, and a call with such extents runs by `cpu`.
   */
  count?(context: LaunchContext<I, O, F>): readonly Launch[];
  /** Scratch memory in bytes. Default: none. */
  workspaceBytes?(context: LaunchContext<I, O, F>): Dim;
}
