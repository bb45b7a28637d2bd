/** A pass made of rules. */

import {
  type Dim,
  type Graph,
  type GraphBuilder,
  provablyEqual,
  rewriteSteps,
  type Rule,
  Tensor,
  type TensorType,
  tensorType,
  type Value,
} from '@tensorwright/core';
import type { Pass } from '../pass.js';
import type { BuildPhase } from '../options.js';

export interface RulePass extends Pass {
  readonly rules: readonly Rule[];
}

export function rulePass(name: string, phase: BuildPhase, rules: readonly Rule[]): RulePass {
  return { name, phase, rules, run: (graph, context) => rewriteSteps(graph, context.builder, rules) };
}

export function typeOf(v: Value): TensorType {
  return v.type as TensorType;
}

/** Extents of a tensor of known rank; undefined otherwise. */
export function dimsOf(v: Value | undefined): readonly Dim[] | undefined {
  return v?.type.kind === 'tensor' ? v.type.dims : undefined;
}

export function sameDims(a: readonly Dim[] | undefined, b: readonly Dim[] | undefined): boolean {
  if (!a || !b) return false;
  return a.length === b.length && a.every((d, i) => provablyEqual(d, b[i]!));
}

/** The input of the node behind `v` when it is of this operator. */
export function through(v: Value | undefined, op: string): Value | undefined {
  return v?.node.op === op ? v.node.inputs[0] : undefined;
}

/** An example graph of one float32 input. */
export function unaryExample(builder: GraphBuilder, dims: readonly Dim[], body: (x: Value) => Value): Graph {
  const x = builder.input('x', tensorType('float32', dims));
  return { inputs: [x], outputs: [body(x)] };
}

/** A float32 tensor for examples, of numbers from 0 up to 1 that all differ. */
export function ramp(...dims: readonly number[]): Tensor {
  const size = dims.reduce((n, d) => n * d, 1);
  return new Tensor(
    'float32',
    Float32Array.from({ length: size }, (_, i) => i / size),
    dims,
  );
}
