/** What a plugin is: one object that says everything about an operator of a user's own. */

import type {
  Dim,
  DType,
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
import type { CudaImplementation } from './cuda-implementation.js';
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

/** One `T` for each output: 'y' → `y`. */
export type ByOutput<O extends Names, T> = { readonly [N in O[number]]: T };

/** A tensor's dtype and extents. Extents are numbers, or expressions of what only the run knows. */
export interface Shaped {
  readonly dtype: DType;
  /** Outermost first. */
  readonly dims: readonly Dim[];
}

/** What `infer` is given. */
export interface InferenceContext<I extends Names, F extends FieldSchema> {
  /** By name; undefined: omitted. */
  readonly inputs: ByInput<I, Shaped>;
  /** All of them, with their defaults. */
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

/** What `lower` is given, besides the network that it adds layers to. */
export interface LoweringContext<I extends Names, F extends FieldSchema> {
  /** By name; undefined: omitted. */
  readonly inputs: ByInput<I, LayerTensor>;
  /** All of them, with their defaults. */
  readonly fields: FieldValues<F>;
  /** The elements of a small integer input, where they are known at build time. */
  elements(input: string): readonly Dim[] | undefined;
  /** An input's elements, where it is a constant. */
  constant(input: string): Tensor | undefined;
  /** Refuses the call. */
  fail(message: string): never;
}

/** What the function on the processor gives: a tensor, or the elements of one of the inferred dims. */
export type CpuResult = Tensor | TensorData;

/** What the function for the processor is given besides inputs and fields. */
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

/** What `definePlugin` makes a plugin of. */
export interface PluginSpec<I extends Names, O extends Names, F extends FieldSchema> {
  /** Letters, digits, '_', '.' and '-', not beginning with a digit: the operator's name in ONNX models. */
  readonly name: string;
  /** Letters, digits, '_', '.', '+' and '-'. Default: '1'. */
  readonly version?: string;
  /** Written like a name: the operator's domain in ONNX models. Default: ''. */
  readonly namespace?: string;
  /** What a call can be told: `{ alpha: field.float(0.1) }`; the attributes of ONNX nodes. Default: none. */
  readonly fields?: F;
  /** Names in order; a trailing '?' marks one that may be omitted. */
  readonly inputs: I;
  /** Names in order, one or more. */
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
   * is changed only where a run gives the same device buffer for the output. Types and shapes are the input's. The function
   * for the processor leaves its inputs as they are. Default: none.
   */
  readonly aliases?: { readonly [K in O[number]]?: BareName<I[number]> };
  /** Dtypes and extents of the outputs. Needed of plugins with an operator of their own. */
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

/** What `definePlugin` gives, and what libraries have: a layer by `addTo`, an operator of ONNX models by a registry. */
export interface Plugin<I extends Names = Names, O extends Names = Names, F extends FieldSchema = FieldSchema> {
  /** Name, version and namespace, by which registries and plans find it. */
  readonly key: PluginKey;
  /** For messages: 'acme::LeakyScale 1'. */
  readonly title: string;
  /** As defined; empty: it has none. */
  readonly fields: F;
  /** As defined, with '?' behind those that may be omitted. */
  readonly inputs: I;
  /** As defined. */
  readonly outputs: O;
  /** Its operator in the graph: its own, or the built-in one that it implements. */
  readonly operator: Operator;
  /** How it can run. */
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
