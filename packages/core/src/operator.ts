/**
 * What an operator is: one entry, in one file per family under `operators/`. Its schema, type inference, value
 * facts, reference evaluation and, for map operators, its scalar expression. An operator never knows a backend.
 */

import type { ConstantData } from './constant.js';
import type { Dim } from './dim.js';
import { TensorwrightError } from './errors.js';
import type { Attributes, Graph, Value } from './graph.js';
import type { LoweredCall } from './operator-source.js';
import type { Scalar } from './scalar.js';
import type { Tensor } from './tensor.js';
import type { DType } from './dtype.js';
import type { TensorType, Type } from './type.js';

/**
 * How outputs relate to inputs, which is all that fusion needs to know:
 * map (elementwise with broadcasting), movement (elements only move), reduce (some axes collapse), contraction
 * (dot, conv), window (pooling), opaque (anything else), control (has regions), source (no inputs).
 */
export type OperatorKind = 'map' | 'movement' | 'reduce' | 'contraction' | 'window' | 'opaque' | 'control' | 'source';

/** What a run-time value can be: evaluation works on these. */
export type RuntimeValue = Tensor | SequenceValue | OptionalValue | MapValue;
export interface SequenceValue {
  readonly kind: 'sequence';
  readonly items: readonly RuntimeValue[];
}
export interface OptionalValue {
  readonly kind: 'optional';
  readonly value: RuntimeValue | undefined;
}
export interface MapValue {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<bigint | string, RuntimeValue>;
}

/** What type inference sees of a node under construction. All checks of ranks, dtypes and attributes happen here. */
export interface InferContext {
  readonly op: string;
  readonly attributes: Attributes;
  readonly inputs: readonly (Value | undefined)[];
  readonly regions: readonly Graph[];
  /** The i-th input's tensor type. @throws ERR_INVALID_MODEL when omitted or not a tensor. */
  tensor(i: number): TensorType;
  /** …with known rank; a fresh symbol per dimension stands in where the rank is known from `rank`. */
  dims(i: number): readonly Dim[];
  has(i: number): boolean;
  /** The elements of a small integer tensor as dims, where known. */
  fact(i: number): readonly Dim[] | undefined;
  /** The constant behind input i, if it is one. */
  constant(i: number): ConstantData | undefined;
  /** A dimension only the run will tell; bounded above by `max` where given. */
  fresh(name: string, bounds?: { min?: number; max?: number }): Dim;
  /**
   * One extent out of two that must be equal. Where only the run knows, it checks: a plan takes along what the shapes of
   * its inputs decide. `what` names them in the plural: 'channels of x and of w'. @throws ERR_INVALID_MODEL when they differ
   */
  agree(a: Dim, b: Dim, what: string): Dim;
  /** `agree` for extents that broadcast to each other: equal, or one of them is 1. */
  agreeOrOne(a: Dim, b: Dim, what: string): void;
  /** `agree` for an extent `own` that broadcasts to `extent`, which is the result's: equal, or `own` is 1. */
  agreeWithin(extent: Dim, own: Dim, what: string): void;
  /** @throws ERR_INVALID_MODEL with the operator's name before the message */
  fail(message: string): never;
}

export interface EvaluateContext {
  readonly op: string;
  readonly attributes: Attributes;
  /** Inferred types of the outputs, dims already numbers where the executor knows them. */
  readonly outputTypes: readonly Type[];
  readonly regions: readonly Graph[];
  /** Number of inputs, omitted ones included. */
  readonly inputs: readonly (RuntimeValue | undefined)[];
  /** The i-th input tensor. @throws ERR_VALUE when it is omitted or no tensor */
  tensor(i: number): Tensor;
  has(i: number): boolean;
  /** The integer elements of input i as numbers. */
  integers(i: number): number[];
  /** The value of a dimension (attributes may carry symbolic ones). */
  dim(d: Dim): number;
  /** Whether the run has told it so far: the outputs' shapes may depend on what is being computed. */
  isKnown(d: Dim): boolean;
  /** Runs a region. */
  run(region: Graph, inputs: readonly (RuntimeValue | undefined)[]): RuntimeValue[];
  /** Throws when the run was cancelled or an iteration limit is exceeded. Called in loops. */
  checkpoint(): void;
  fail(message: string): never;
}

export interface Operator {
  readonly name: string;
  readonly kind: OperatorKind;
  /** Named inputs in order; a trailing '?' marks an optional one, '…' a variadic tail. */
  readonly inputs: readonly string[];
  /** Default: 1. */
  readonly outputs?: readonly string[];
  /** Attribute defaults; an attribute not listed here is refused. `undefined` has no default and may be absent. */
  readonly attributes?: Readonly<Record<string, unknown>>;
  infer(context: InferContext): readonly Type[];
  /** Value facts of the outputs: elements of small integer tensors as dims. */
  facts?(context: InferContext): readonly (readonly Dim[] | undefined)[];
  /** Reference semantics; absent for `map` operators, whose scalar expression is evaluated. */
  evaluate?(context: EvaluateContext): readonly RuntimeValue[];
  /** Map operators: the value of one output element from the elements of the inputs. `dtypes` are the inputs'. */
  scalar?(args: readonly Scalar[], attributes: Attributes, outputDType: DType): Scalar;
  /** Brought by a plugin: only what the plugin brings along runs it. Default: no. */
  readonly custom?: boolean;
  /** The outputs by other operators, for backends without a kernel of its own: what a plugin has besides kernels. */
  lower?(call: LoweredCall): readonly Value[];
  /** Same inputs, different results: random generators. Never merged or folded. */
  readonly stateful?: boolean;
  /** Relative tolerance against exact arithmetic by dtype of the output, and whether 16-bit evaluation is safe. */
  readonly numerics?: { readonly safeIn16Bit: boolean };
}

const registry = new Map<string, Operator>();

/** @throws ERR_INVALID_ARGUMENT when the name is taken by another operator */
export function registerOperator(operator: Operator): Operator {
  const old = registry.get(operator.name);
  if (old && old !== operator) {
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', `operator '${operator.name}' is already registered`, {
      operator: operator.name,
    });
  }
  registry.set(operator.name, operator);
  return operator;
}

/** @throws ERR_UNSUPPORTED for an unknown name */
export function operatorOf(name: string): Operator {
  const operator = registry.get(name);
  if (!operator) throw new TensorwrightError('ERR_UNSUPPORTED', `unknown operator '${name}'`, { operator: name });
  return operator;
}

export function operatorNames(): string[] {
  return [...registry.keys()].sort();
}

export function isMap(name: string): boolean {
  return registry.get(name)?.kind === 'map';
}
