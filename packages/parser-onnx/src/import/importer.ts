/** How one ONNX operator becomes canonical operators: the contract of the files in this folder. */

import type { Attributes, ConstantData, Dim, DType, Graph, Tensor, TensorType, Type, Value } from '@tensorwright/core';

/** What an importer sees of the node it imports. Makes canonical nodes; their provenance is recorded. */
export interface ImportContext {
  readonly opType: string;
  readonly domain: string;
  /** The opset version the model imports for this node's domain. */
  readonly opset: number;
  /** Number of inputs in the node, omitted ones included, trailing omitted ones not. */
  readonly inputCount: number;
  readonly outputCount: number;
  /** Whether output i is asked for (has a name). */
  wants(i: number): boolean;
  has(i: number): boolean;
  /** Input i. Reports a problem when omitted. */
  input(i: number): Value;
  optional(i: number): Value | undefined;
  inputs(): Value[];

  // Attributes by ONNX name; a wrong type is reported as a problem. `undefined` fallback: absent.
  int(name: string, fallback: number): number;
  float(name: string, fallback: number): number;
  string(name: string, fallback: string): string;
  ints(name: string): number[] | undefined;
  floats(name: string): number[] | undefined;
  strings(name: string): string[] | undefined;
  tensor(name: string): ConstantData | undefined;
  /** ONNX's DataType number as dtype, from an int attribute. */
  dtype(name: string): DType | undefined;
  hasAttribute(name: string): boolean;
  /** The type of a type attribute (Optional's, for one). */
  typeAttribute(name: string): Type | undefined;
  /** Number of formal inputs and of outputs of a subgraph attribute. */
  regionArity(name: string): { inputs: number; outputs: number };
  /** A subgraph attribute as a region: formal inputs of the given types first, then the captures (outer values it uses). */
  region(name: string, inputTypes: readonly Type[]): { graph: Graph; captures: Value[] };
  /** A formal input for a region that the importer makes itself. */
  formal(name: string, type: Type): Value;
  /** Imports a subgraph attribute in place, its formal inputs bound to these values. */
  inline(name: string, inputs: readonly Value[]): Value[];

  /** Makes a canonical node. */
  op(op: string, inputs: readonly (Value | undefined)[], attributes?: Attributes, regions?: readonly Graph[]): Value;
  node(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes?: Attributes,
    regions?: readonly Graph[],
  ): readonly Value[];
  constant(tensor: Tensor | ConstantData): Value;
  /** A scalar (rank 0) constant of the dtype, floats rounded to it. */
  scalar(value: number | bigint, dtype: DType): Value;
  /** Small integer tensor with dim elements. */
  dims(values: Dim | readonly Dim[]): Value;

  type(v: Value): TensorType;
  /** Known rank or a problem. */
  dimsOf(v: Value): readonly Dim[];
  rank(v: Value): number;
  /** Elements of a small integer tensor as dims, where known. */
  fact(v: Value): readonly Dim[] | undefined;
  constantOf(v: Value): Tensor | undefined;
  /** Normalises a negative axis; a problem when out of range. */
  axis(value: number, rank: number): number;

  /** Ends the import of this node with a problem: the model is wrong. The reason, and what the user can do. */
  fail(reason: string, hint?: string): never;
  /** Ends the import of this node with a problem: the model may be right, but we lack what `reason` names. */
  unsupported(reason: string, hint?: string): never;
}

export type ImportFunction = (c: ImportContext) => Value | readonly (Value | undefined)[];

/** Opset version an entry holds from → importer. The newest entry not above the model's opset is used. */
export type ImporterVersions = Readonly<Record<number, ImportFunction>>;

/** Operator name → versions, for one domain. A plain function serves all versions. */
export type ImporterTable = Readonly<Record<string, ImportFunction | ImporterVersions>>;
