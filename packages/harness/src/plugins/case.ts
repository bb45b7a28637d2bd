/** What the suite of plugins knows of one plugin: calls of it, and what comes out by the formula. */

import type { DType, InputDim, NetworkDefinition, NetworkTensor } from '@tensorwright/core';
import type { AnyPlugin } from '@tensorwright/plugins';
import type { Random } from './random.js';

export type FloatType = 'float32' | 'float16' | 'bfloat16';
/** Floats that every problem is run in, where its case does not say otherwise. */
export const usualFloats: readonly FloatType[] = ['float32', 'float16'];

/** An input of a call. */
export interface Operand {
  /** 'float': the one that the run is in. */
  readonly dtype: 'float' | DType;
  readonly dims: readonly number[];
  readonly values: Float64Array;
  /** Extents as the network declares them, names for those that only the run knows. Default: `dims`. */
  readonly declared?: readonly InputDim[];
  /** Whether it is known at build time. Default: false. */
  readonly isConstant?: boolean;
}

export interface Problem {
  readonly name: string;
  /** By the names of the plugin's inputs; those that are missing are omitted. */
  readonly inputs: Readonly<Record<string, Operand>>;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Fields besides that say which float the run is in. Default: none. */
  readonly floatFields?: Readonly<Partial<Record<FloatType, Readonly<Record<string, unknown>>>>>;
  /** Of realistic size: timed, and left out of the tests. Default: false. */
  readonly timed?: boolean;
  /** Whether the processor's kernels refuse it, as an error of the caller's. Default: false. */
  readonly deviceOnly?: boolean;
}

type Layers = Readonly<Record<string, NetworkTensor>>;

/** A plugin of any signature as a layer. */
export interface LayerPlugin extends AnyPlugin {
  addTo(network: NetworkDefinition, inputs: never, ...fields: never[]): Layers;
}

export interface PluginCase {
  /** The file's name. */
  readonly name: string;
  readonly plugin: LayerPlugin;
  /** Default: `usualFloats`. Timed are those of them. */
  readonly floats?: readonly FloatType[];
  /** Odd shapes, fields and edge cases, and one that is timed. */
  problems(random: Random): readonly Problem[];
  /**
   * The outputs by name, in float64: a formula of its own. The inputs' values are rounded to their dtypes already. An
   * output that is left out is not compared.
   */
  reference(problem: Problem): Readonly<Record<string, Float64Array>>;
  /** The same by standard layers, which is timed beside the plugin where they can, or why there is no such thing. */
  readonly standard: string | ((network: NetworkDefinition, inputs: Layers, problem: Problem) => Layers);
}
