/** What a plugin is: one object that says everything about an operator of a user's own. */

import type {
  Dim,
  DType,
  Layout,
  LayerOptions,
  ConstantCondition,
  LoweredCall,
  NetworkLayers,
  NetworkTensor,
  Operator,
  PatternMatch,
  PatternNode,
  SubgraphPattern,
  Value,
} from '@tensorwright/core';
import type { PluginKey, Tensor, TensorData } from '@tensorwright/core';
import type { FieldArguments, FieldSchema, FieldValues, NoFields } from './fields.js';

/** Names in order; a trailing '?' marks an input that may be omitted. */
export type Names = readonly string[];

/** 'bias?' → 'bias' */
export type BareName<N extends string> = N extends `${infer Base}?` ? Base : N;

/** One `T` for each input: 'x' → `x`, 'bias?' → `bias` or undefined. */
export type ByInput<I extends Names, T> = {
  readonly [N in I[number] as N extends `${string}?` ? never : N]: T;
} & {
  readonly [N in I[number] as N extends `${infer Base}?` ? Base : never]?: T | undefined;
};

export type ByOutput<O extends Names, T> = { readonly [N in O[number]]: T };

/** A tensor's dtype and extents. Extents are numbers, or expressions of what only the run knows. */
export interface Shaped {
  readonly dtype: DType;
  readonly dims: readonly Dim[];
}

export interface InferenceContext<I extends Names, F extends FieldSchema> {
  readonly inputs: ByInput<I, Shaped>;
  readonly fields: FieldValues<F>;
  /** The elements of a small integer input, where they are known at build time. */
  elements(input: string): readonly Dim[] | undefined;
  /** An extent that only the values decide, with its bounds. Default bounds: 0 and 2^31 - 1. */
  dataDependent(name: string, bounds?: { readonly min?: number; readonly max?: number }): Dim;
  /**
   * One extent out of two that must be equal; numbers that differ refuse the call. Of extents that the shapes of the
   * network's inputs decide, every run checks it before it begins (ERR_SHAPE_MISMATCH): kernels may rely on it then. Those
   * that values decide, and calls in the bodies of conditionals and loops, are taken on trust. `what` names the two in the
   * plural, for messages: 'rows of x and of skip'.
   */
  agree(a: Dim, b: Dim, what: string): Dim;
  /** Refuses the call. */
  fail(message: string): never;
}

/** A tensor of known rank in a network. */
export type LayerTensor = NetworkTensor & { readonly dims: readonly Dim[] };

export interface LoweringContext<I extends Names, F extends FieldSchema> {
  readonly inputs: ByInput<I, LayerTensor>;
  readonly fields: FieldValues<F>;
  /** The elements of a small integer input, where they are known at build time. */
  elements(input: string): readonly Dim[] | undefined;
  /** An input's elements, where it is a constant. */
  constant(input: string): Tensor | undefined;
  /** Refuses the call. */
  fail(message: string): never;
}

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

export interface Launch {
  /** A `__global__` function of the source. */
  readonly kernel: string;
  /** Blocks: one number for x alone. */
  readonly grid: Dim | readonly Dim[];
  /** Threads of a block: one number for x alone. */
  readonly block: number | readonly number[];
  /** Dynamic shared memory in bytes. Default: 0. */
  readonly sharedBytes?: number;
  /** Blocks of a cluster (compute capability 9.0 and newer). Default: no clusters. */
  readonly cluster?: readonly number[];
  /** Of the kernel's parameters, in order. */
  readonly arguments: readonly LaunchArgument[];
}

export interface CallContext<I extends Names, O extends Names, F extends FieldSchema> {
  readonly inputs: ByInput<I, KernelTensor>;
  readonly outputs: ByOutput<O, KernelTensor>;
  readonly fields: FieldValues<F>;
}

export interface LaunchContext<I extends Names, O extends Names, F extends FieldSchema> extends CallContext<I, O, F> {
  /** One of `tactics`, or '' where there are none. */
  readonly tactic: string;
  /** One of `formats`: the layouts that the operands are in. */
  readonly format: Format;
}

/** Layouts of operands; those not named are row-major. */
export type Format = Readonly<Record<string, Layout>>;

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
  /** Layouts that may be offered besides each other: the builder picks. Default: all row-major. */
  readonly formats?: readonly Format[];
  /** Ways to launch, of which the builder takes the fastest. Default: one. */
  readonly tactics?: readonly string[];
  /** Launches in order. */
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

/** What the function on the processor gives: a tensor, or the elements of one of the inferred dims. */
export type CpuResult = Tensor | TensorData;

export interface CpuContext<O extends Names> {
  /** As inferred; an extent is undefined where the values decide it. */
  readonly outputs: ByOutput<O, { readonly dtype: DType; readonly dims: readonly (number | undefined)[] }>;
}

/**
 * A subgraph that a plugin computes. Its tensors have names: those called like an input of the plugin are given to it,
 * those called like an output are replaced by it. What else reads a tensor inside the subgraph still finds it.
 */
export interface Pattern<F extends FieldSchema> {
  /** For the report. Default: its position, 'pattern 0'. */
  readonly name?: string;
  /** Connected by the names of their tensors; the last one is looked for first. */
  readonly nodes: readonly PatternNode[];
  /** Tensors that must be constants, and which ones. */
  readonly constants?: Readonly<Record<string, ConstantCondition>>;
  /** Fields of the call. Default: the fields' defaults. */
  fields?(match: PatternMatch): FieldArguments<F>;
  /** Whether a match counts. Default: all do. */
  when?(match: PatternMatch): boolean;
}

export interface PluginSpec<I extends Names, O extends Names, F extends FieldSchema> {
  readonly name: string;
  /** Default: '1'. */
  readonly version?: string;
  /** Default: ''. */
  readonly namespace?: string;
  /** Default: none. */
  readonly fields?: F;
  readonly inputs: I;
  readonly outputs: O;
  /**
   * A built-in operator ('softmax', 'layerNorm' …) that `cuda` computes, instead of an operator of the plugin's own: while
   * a registry has the plugin, builds time its kernels beside ours for every call that they do not refuse. Inputs and
   * outputs are the operator's in order, fields those of its attributes that the plugin wants to see.
   */
  readonly implements?: string;
  /**
   * Outputs that are an input changed in place, each with its input: `{ cache: 'past' }`. Kernels get the same pointer for
   * both; where the input is still needed as it was, or is a constant, they get that of a copy. An input of the network
   * is changed only where a run gives the same device buffer for the output. Types and shapes are the input's. The function for the processor leaves its inputs as they are. Default: none.
   */
  readonly aliases?: { readonly [K in O[number]]?: BareName<I[number]> };
  /** Dtypes and shapes of the outputs. Needed of plugins with an operator of their own. */
  infer?(context: InferenceContext<I, F>): ByOutput<O, Shaped>;
  /**
   * Makes the outputs of other layers. Alone, in place of an operator of the plugin's own: plans know nothing of the
   * plugin, and everything is done to its layers that is done to layers. Beside `cuda` and `infer`, where no backend of
   * the build has a kernel for the call; types must be those that `infer` gives.
   */
  lower?(context: LoweringContext<I, F>, network: NetworkLayers): ByOutput<O, NetworkTensor>;
  /** Subgraphs of built-in operators that the plugin takes the place of while a registry has it. Default: none. */
  readonly patterns?: readonly Pattern<F>[];
  /** On a GPU. Default: it does not run there. */
  readonly cuda?: CudaImplementation<I, O, F>;
  /**
   * On the processor, in TypeScript: 16-bit floats arrive as float32 and are rounded afterwards. It also runs where
   * constants are folded and where results are checked. Default: it does not run there.
   */
  cpu?(inputs: ByInput<I, Tensor>, fields: FieldValues<F>, context: CpuContext<O>): ByOutput<O, CpuResult>;
}

/**
 * How a plugin runs: kernels for a GPU ('cuda'), a function for the processor ('cpu'), standard layers ('layers'), or a
 * library, which says for each call where it does ('library').
 */
export type Implementation = 'cuda' | 'cpu' | 'layers' | 'library';

export interface Plugin<I extends Names = Names, O extends Names = Names, F extends FieldSchema = FieldSchema> {
  readonly key: PluginKey;
  /** For messages: 'acme::LeakyScale 1'. */
  readonly title: string;
  readonly fields: F;
  readonly inputs: I;
  readonly outputs: O;
  readonly operator: Operator;
  readonly implementations: readonly Implementation[];
  /** A call as layers, where the plugin is lowered. @throws ERR_INVALID_MODEL when the call is wrong, ERR_PLUGIN when the plugin is */
  lower?(call: LoweredCall): readonly Value[];
  /** Subgraphs that it takes the place of. */
  readonly patterns?: readonly SubgraphPattern[];
  /** Offers its kernels to builds, where it implements a built-in operator. The result withdraws them. */
  offer?(): () => void;
  /**
   * A layer of it in a network made in code: its outputs by name.
   * @throws ERR_INVALID_ARGUMENT naming the layer, the field or the input
   */
  addTo(
    network: NetworkLayers,
    inputs: ByInput<I, NetworkTensor>,
    ...rest: LayerArguments<F>
  ): ByOutput<O, NetworkTensor>;
}

/** A plugin of any inputs, outputs and fields. */
export type AnyPlugin = Omit<Plugin, 'addTo'>;

/** Fields may be left out where all have defaults. */
export type LayerArguments<F extends FieldSchema> =
  NoFields extends FieldArguments<F>
    ? [fields?: FieldArguments<F>, options?: LayerOptions]
    : [fields: FieldArguments<F>, options?: LayerOptions];
