/** What an exporter sees of its node. */

import {
  type ConstantData,
  type Dim,
  type DType,
  type Node,
  type Tensor,
  tensorFromNumbers,
  TensorwrightError,
  type TensorType,
  type Value,
} from '@tensorwright/core';
import { codeOfDType } from '../dtype-codes.js';
import type { ExportContext, OnnxAttributes } from './exporter.js';
import type { GraphWriter } from './graph-writer.js';

export class NodeExport implements ExportContext {
  readonly node: Node;
  readonly #graph: GraphWriter;

  constructor(node: Node, graph: GraphWriter) {
    this.node = node;
    this.#graph = graph;
  }

  has(i: number): boolean {
    return this.node.inputs[i] !== undefined;
  }

  input(i: number): string {
    const v = this.node.inputs[i];
    return v ? this.#graph.nameOf(v) : '';
  }

  inputs(): string[] {
    return this.node.inputs.map((_, i) => this.input(i));
  }

  value(i: number): Value {
    return this.node.inputs[i] ?? this.unsupported(`input ${i} is missing`);
  }

  type(i: number): TensorType {
    const { type } = this.value(i);
    return type.kind === 'tensor' ? type : this.unsupported(`input ${i} is a ${type.kind}`);
  }

  dims(i: number): readonly Dim[] {
    return this.type(i).dims ?? this.unsupported(`the rank of input ${i} is not known`);
  }

  attribute<T>(name: string): T {
    return this.node.attributes[name] as T;
  }

  emit(op: string, inputs: readonly string[], attributes: OnnxAttributes = {}, outputs = 1, domain = ''): string[] {
    return this.#graph.emit(op, inputs, attributes, outputs, domain);
  }

  one(op: string, inputs: readonly string[], attributes: OnnxAttributes = {}, domain = ''): string {
    return this.emit(op, inputs, attributes, 1, domain)[0]!;
  }

  constant(tensor: Tensor): string {
    return this.#graph.initializer(tensor);
  }

  scalar(value: number, dtype: DType): string {
    return this.constant(tensorFromNumbers(dtype, [value], []));
  }

  ints(values: readonly number[]): string {
    return this.#graph.ints(values);
  }

  extents(dims: readonly Dim[]): string {
    return this.#graph.extents(dims);
  }

  reshape(x: string, dims: readonly Dim[]): string {
    return this.one('Reshape', [x, this.extents(dims)], { allowzero: 1 });
  }

  code(dtype: DType): number {
    return codeOfDType(dtype);
  }

  needs(opset: number): void {
    this.#graph.model.opset = Math.max(this.#graph.model.opset, opset);
  }

  constantOf(i: number): Tensor {
    const { node } = this.value(i);
    return node.op === 'constant'
      ? (node.attributes['data'] as ConstantData).tensor
      : this.unsupported(`input ${i} must be a constant`);
  }

  unsupported(reason: string): never {
    const origin = this.#graph.model.network.builder.provenance.of(this.node).join(', ');
    throw new TensorwrightError(
      'ERR_UNSUPPORTED',
      `writing ONNX: ${this.node.op}${origin === '' ? '' : ` (${origin})`}: ${reason}`,
      { operator: this.node.op },
    );
  }
}
