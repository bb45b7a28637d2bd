/** How one canonical operator becomes ONNX nodes: the contract of the files in this folder. */

import type { Dim, DType, Graph, Node, Tensor, TensorType, Value } from '@tensorwright/core';

export type OnnxAttribute =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly tensor: Tensor }
  | { readonly graph: RegionAttribute };

/** A subgraph: its own inputs by position; the rest of the region's inputs are names of the surrounding graph. */
export interface RegionAttribute {
  readonly region: Graph;
  /** Index of each formal input among the region's inputs. */
  readonly formals: readonly number[];
  /** Names that the other inputs have outside. */
  readonly captures: ReadonlyMap<number, string>;
}

export type OnnxAttributes = Readonly<Record<string, OnnxAttribute | undefined>>;

/** What an exporter sees of its node. Names stand for values; '' is an omitted input. */
export interface ExportContext {
  readonly node: Node;
  /** The name of input i; '' when omitted. */
  input(i: number): string;
  inputs(): string[];
  has(i: number): boolean;
  type(i: number): TensorType;
  /** Dims of input i, whose rank must be known. */
  dims(i: number): readonly Dim[];
  /** The i-th input itself. */
  value(i: number): Value;
  attribute<T>(name: string): T;

  /** Adds an ONNX node and gives the names of its outputs. */
  emit(op: string, inputs: readonly string[], attributes?: OnnxAttributes, outputs?: number, domain?: string): string[];
  /** `emit` for one output. */
  one(op: string, inputs: readonly string[], attributes?: OnnxAttributes, domain?: string): string;
  constant(tensor: Tensor): string;
  scalar(value: number, dtype: DType): string;
  /** An int64 vector. */
  ints(values: readonly number[]): string;
  /** An int64 vector of extents, computed from shapes where they are symbolic. */
  extents(dims: readonly Dim[]): string;
  /** x with other dims. */
  reshape(x: string, dims: readonly Dim[]): string;
  /** Number of ONNX's element type. */
  code(dtype: DType): number;
  /** Raises the opset of the model to the one that has the operator. */
  needs(opset: number): void;
  /** The constant behind input i. */
  constantOf(i: number): Tensor;
  /** Ends the export: ONNX has no such thing. */
  unsupported(reason: string): never;
}

/** Names of the node's outputs. */
export type ExportFunction = (c: ExportContext) => string | readonly string[];
export type ExporterTable = Readonly<Record<string, ExportFunction>>;
