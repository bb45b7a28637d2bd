/** Where operators come from that are not built in: registries of plugins answer this. */

import type { NetworkLayers } from './definition/network-layers.js';
import type { Attributes, Value } from './graph.js';
import type { Operator } from './operator.js';
import type { SubgraphPattern } from './subgraph-pattern.js';

/** A call of an operator by name, as a model file has it. */
export interface OperatorCall {
  readonly domain: string;
  readonly name: string;
  /** Default: the newest. */
  readonly version?: string;
  /** Default: any. */
  readonly namespace?: string;
}

/** The kinds of a custom operator's attributes. */
export type FieldKind = 'int' | 'float' | 'bool' | 'string' | 'ints' | 'floats' | 'strings' | 'tensor';

export interface CustomOperator {
  readonly operator: Operator;
  /** For messages: 'acme::LeakyScale 1'. */
  readonly title: string;
  readonly fields: Readonly<Record<string, FieldKind>>;
  /** Whether it takes the place of an operator that is built in, or of a model's own function. */
  readonly overrides: boolean;
  /** Where calls become other operators: the outputs. @throws ERR_INVALID_MODEL when the call is wrong */
  lower?(call: LoweredCall): readonly Value[];
}

export interface LoweredCall {
  /** Where its layers are added. */
  readonly layers: NetworkLayers;
  readonly inputs: readonly (Value | undefined)[];
  /** Those that have defaults may be missing. */
  readonly attributes: Attributes;
}

export interface OperatorSource {
  find(call: OperatorCall): CustomOperator | undefined;
  /** Titles of those with a similar name, for messages. */
  similar(name: string): readonly string[];
  /** Subgraphs that its operators stand for, those to be looked for first in front. Default: none. */
  patterns?(): readonly SubgraphPattern[];
}

let standard: OperatorSource | undefined;

/** The source that is asked where none is given: the global plugin registry sets itself. */
export function setStandardOperatorSource(source: OperatorSource): void {
  standard = source;
}

export function standardOperatorSource(): OperatorSource | undefined {
  return standard;
}
