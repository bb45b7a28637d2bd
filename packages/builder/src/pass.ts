/** A pass: one sentence of purpose, from a graph to a graph. Deterministic and idempotent. */

import type { Backend, DimSymbol, Graph, GraphBuilder, LogRecord, Steps } from '@tensorwright/core';
import type { BuildOptions, BuildPhase } from './options.js';

export interface Fallback {
  readonly node: string;
  readonly operator: string;
  readonly backend: string;
  readonly reason: string;
}

/** What passes see of the build. */
export interface PassContext {
  readonly builder: GraphBuilder;
  readonly options: BuildOptions;
  readonly backends: readonly Backend[];
  /** Default backends that cannot run here, each with its reason, for messages. */
  readonly leftOut?: readonly string[];
  /** Extents that dynamic dimensions are timed at. */
  readonly optimum: ReadonlyMap<DimSymbol, number>;
  readonly log: (record: Omit<LogRecord, 'scope'>) => void;
  /** Lets the event loop run when this slice of work has lasted long enough; throws when aborted. */
  breathe(): Promise<void>;
}

export interface Pass {
  readonly name: string;
  readonly phase: BuildPhase;
  /** A result, or work in slices between which the event loop may run. */
  run(graph: Graph, context: PassContext): Graph | Steps<Graph>;
}
