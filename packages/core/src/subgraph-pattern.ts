/** Subgraphs that a custom operator stands for, as declarative data: the builder looks for them before anything else. */

import type { Attributes, AttributeValue, Value } from './graph.js';
import type { GraphBuilder } from './graph-builder.js';
import type { Tensor } from './tensor.js';
import type { TensorType } from './type.js';

/** A value that the attribute must have, or what must hold of it. */
export type AttributeCondition =
  number | string | boolean | readonly number[] | readonly string[] | ((value: AttributeValue | undefined) => boolean);

/** Any constant (true), one whose elements are all this number, these numbers, or what must hold of it. */
export type ConstantCondition = true | number | readonly number[] | ((tensor: Tensor) => boolean);

export interface PatternNode {
  /** The built-in operator, as the inspector calls it: 'softmax', 'add'. The operands of commutative ones may be swapped. */
  readonly op: string;
  /** Names of tensors: what another node of the pattern gives, a constant, or a captured tensor. '': omitted. */
  readonly inputs: readonly string[];
  /** Names of what it gives, in order. */
  readonly outputs: readonly string[];
  /** Default: any. */
  readonly attributes?: Readonly<Record<string, AttributeCondition>>;
}

/** What a pattern has found, by its own names. */
export interface PatternMatch {
  /** All tensors. */
  readonly tensors: Readonly<Record<string, TensorType>>;
  readonly constants: Readonly<Record<string, Tensor>>;
  /** Of each node, by the name of its first output. */
  readonly attributes: Readonly<Record<string, Attributes>>;
}

export interface SubgraphPattern {
  /** Of the plugin, for the report: 'acme::Gelu 1'. */
  readonly plugin: string;
  readonly name: string;
  readonly nodes: readonly PatternNode[];
  readonly constants: Readonly<Record<string, ConstantCondition>>;
  /** Tensors that `replace` is given, in order. undefined: none. */
  readonly inputs: readonly (string | undefined)[];
  /** Tensors that are replaced by what `replace` gives, in order. undefined: not there. */
  readonly outputs: readonly (string | undefined)[];
  /** Whether a match is one. */
  accepts(match: PatternMatch): boolean;
  /** @throws ERR_INVALID_MODEL or ERR_INVALID_ARGUMENT where the plugin refuses; the subgraph stays then */
  replace(match: PatternMatch, inputs: readonly (Value | undefined)[], builder: GraphBuilder): readonly Value[];
}
