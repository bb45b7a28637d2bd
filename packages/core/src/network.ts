/** A network: what a parser or `NetworkDefinition` hands to the builder. */

import type { GraphBuilder } from './graph-builder.js';
import type { Graph, Value } from './graph.js';

/** An input or output under the name by which a run binds it. */
export interface NamedValue {
  readonly name: string;
  readonly value: Value;
}

export interface Network {
  readonly name: string;
  readonly graph: Graph;
  /** The builder that made the graph: rewriting goes on with it, and it holds the provenance. */
  readonly builder: GraphBuilder;
  /** In the order of `graph.inputs`. */
  readonly inputs: readonly NamedValue[];
  /** In the order of `graph.outputs`. */
  readonly outputs: readonly NamedValue[];
  /** Free text that came with the model: producer, version, descriptions, the model's own properties. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Operator-set versions by domain that the model was written for; empty for networks made in code. */
  readonly opsets: Readonly<Record<string, number>>;
}
