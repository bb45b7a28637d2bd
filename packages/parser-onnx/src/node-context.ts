/** What an importer sees of its node: inputs, attributes, and the means to make canonical nodes. */

import {
  type Attributes,
  type ConstantData,
  type Dim,
  type DType,
  dtypeInfo,
  type Graph,
  inferFacts,
  isBig,
  isInteger,
  readNumbers,
  Tensor,
  tensorFromNumbers,
  type TensorType,
  type Type,
  type Value,
} from '@tensorwright/core';
import type { AttributeReader } from './attributes.js';
import { constantValue } from './fold.js';
import type { GraphImporter } from './graph-importer.js';
import type { ImportContext } from './import/importer.js';
import { ImportFailure } from './problems.js';
import type { NodeProto } from './proto/decode.js';

export interface NodePlace {
  readonly proto: NodeProto;
  readonly domain: string;
  readonly opset: number;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: AttributeReader;
}

export class NodeContext implements ImportContext {
  readonly opType: string;
  readonly domain: string;
  readonly opset: number;
  readonly #place: NodePlace;
  readonly #importer: GraphImporter;

  constructor(place: NodePlace, importer: GraphImporter) {
    this.opType = place.proto.opType ?? '';
    this.domain = place.domain;
    this.opset = place.opset;
    this.#place = place;
    this.#importer = importer;
  }

  get inputCount(): number {
    return this.#place.inputs.length;
  }

  get outputCount(): number {
    return this.#place.proto.output?.length ?? 0;
  }

  wants(i: number): boolean {
    return (this.#place.proto.output?.[i] ?? '') !== '';
  }

  has(i: number): boolean {
    return this.#place.inputs[i] !== undefined;
  }

  input(i: number): Value {
    return this.#place.inputs[i] ?? this.fail(`input ${i} is missing`);
  }

  optional(i: number): Value | undefined {
    return this.#place.inputs[i];
  }

  inputs(): Value[] {
    return this.#place.inputs.map((_, i) => this.input(i));
  }

  int(name: string, fallback: number): number {
    return this.#place.attributes.int(name) ?? fallback;
  }

  /** Float attributes are float32 in the file; a default is one in the specification. */
  float(name: string, fallback: number): number {
    return this.#place.attributes.float(name) ?? Math.fround(fallback);
  }

  string(name: string, fallback: string): string {
    return this.#place.attributes.string(name) ?? fallback;
  }

  ints(name: string): number[] | undefined {
    return this.#place.attributes.ints(name);
  }

  floats(name: string): number[] | undefined {
    return this.#place.attributes.floats(name);
  }

  strings(name: string): string[] | undefined {
    return this.#place.attributes.strings(name);
  }

  tensor(name: string): ConstantData | undefined {
    return this.#place.attributes.tensor(name);
  }

  dtype(name: string): DType | undefined {
    return this.#place.attributes.dtype(name);
  }

  hasAttribute(name: string): boolean {
    return this.#place.attributes.has(name);
  }

  typeAttribute(name: string): Type | undefined {
    const proto = this.#place.attributes.typeProto(name);
    return proto ? this.#importer.model.symbols.type(proto, name) : undefined;
  }

  regionArity(name: string): { inputs: number; outputs: number } {
    const { graph } = this.#place.attributes.graph(name);
    return { inputs: graph.input?.length ?? 0, outputs: graph.output?.length ?? 0 };
  }

  region(name: string, inputTypes: readonly Type[]): { graph: Graph; captures: Value[] } {
    return this.#importer.importRegion(this.#place.attributes.graph(name), inputTypes);
  }

  formal(name: string, type: Type): Value {
    return this.#importer.model.builder.input(name, type);
  }

  inline(name: string, inputs: readonly Value[]): Value[] {
    return this.#importer.importInline(this.#place.attributes.graph(name), inputs);
  }

  op(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    regions: readonly Graph[] = [],
  ): Value {
    return this.#importer.model.builder.op(op, inputs, attributes, regions);
  }

  node(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    regions: readonly Graph[] = [],
  ): readonly Value[] {
    return this.#importer.model.builder.node(op, inputs, attributes, regions);
  }

  constant(tensor: Tensor | ConstantData): Value {
    return this.#importer.model.builder.constant(tensor);
  }

  scalar(value: number | bigint, dtype: DType): Value {
    if (isBig(dtype)) return this.constant(new Tensor(dtype, [BigInt(value)], []));
    if (dtypeInfo(dtype).class === 'complex') return this.constant(new Tensor(dtype, [Number(value), 0], []));
    return this.constant(tensorFromNumbers(dtype, [Number(value)], []));
  }

  dims(values: Dim | readonly Dim[]): Value {
    return this.#importer.model.builder.dims(values);
  }

  type(v: Value): TensorType {
    return v.type.kind === 'tensor' ? v.type : this.fail(`a tensor is needed, found a ${v.type.kind}`);
  }

  dimsOf(v: Value): readonly Dim[] {
    return (
      this.type(v).dims ??
      this.unsupported('the rank of its input is not known', "Declare the input's shape in the model.")
    );
  }

  rank(v: Value): number {
    return this.dimsOf(v).length;
  }

  fact(v: Value): readonly Dim[] | undefined {
    return inferFacts(v) ?? this.#computedFact(v);
  }

  /** Sizes scaled by fractions have no dims on the way, but may come out as known integers. */
  #computedFact(v: Value): readonly Dim[] | undefined {
    if (v.type.kind !== 'tensor' || !isInteger(v.type.dtype)) return undefined;
    const numbers = constantValue(v);
    const fact = numbers && Array.from(readNumbers(numbers));
    return fact?.every(Number.isSafeInteger) ? fact : undefined;
  }

  constantOf(v: Value): Tensor | undefined {
    return constantValue(v);
  }

  axis(value: number, rank: number): number {
    const axis = value < 0 ? value + rank : value;
    return Number.isInteger(axis) && axis >= 0 && axis < rank
      ? axis
      : this.fail(`axis ${value} is out of range for rank ${rank}`);
  }

  fail(reason: string, hint?: string): never {
    throw new ImportFailure('ERR_INVALID_MODEL', reason, hint);
  }

  unsupported(reason: string, hint?: string): never {
    throw new ImportFailure('ERR_UNSUPPORTED', reason, hint);
  }
}
