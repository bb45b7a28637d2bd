/** Writes ONNX models node by node: what the tests build and what ONNX Runtime is given. */

import type { DType, NumericData, Tensor } from '@tensorwright/core';
import { codeOfDType } from '../../../parser-onnx/src/dtype-codes.js';
import { onnx } from '../../../parser-onnx/src/proto/decode.js';

type Dims = readonly (number | string)[];
export type Attribute =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | { readonly float: number }
  | { readonly graph: ModelWriter };

export class ModelWriter {
  readonly #nodes: onnx.NodeProto.$Properties[] = [];
  readonly #inputs: onnx.ValueInfoProto.$Properties[] = [];
  readonly #outputs: onnx.ValueInfoProto.$Properties[] = [];
  readonly #initializers: onnx.TensorProto.$Properties[] = [];
  readonly #prefix: string;

  /** @param prefix sets a subgraph's names apart from those around it. */
  constructor(prefix = '') {
    this.#prefix = prefix;
  }

  input(name: string, dtype: DType, dims: Dims): string {
    this.#inputs.push({ name, type: typeOf(dtype, dims) });
    return name;
  }

  weight(tensor: Tensor): string {
    const name = `${this.#prefix}w${this.#initializers.length}`;
    const { buffer, byteOffset, byteLength } = tensor.data as NumericData;
    this.#initializers.push({
      name,
      dims: [...tensor.dims],
      dataType: codeOfDType(tensor.dtype),
      rawData: new Uint8Array(buffer, byteOffset, byteLength),
    });
    return name;
  }

  /** Adds a node and returns the names of its outputs. */
  nodes(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    outputs = 1,
  ): string[] {
    const name = `${this.#prefix}n${this.#nodes.length}`;
    const output = Array.from({ length: outputs }, (_, i) => `${name}_${i}`);
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.#nodes.push({ name, opType: op, input: [...inputs], output, attribute });
    return output;
  }

  node(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.nodes(op, inputs, attributes)[0]!;
  }

  output(name: string, dtype: DType, dims?: Dims): this {
    this.#outputs.push({ name, type: typeOf(dtype, dims) });
    return this;
  }

  graph(): onnx.GraphProto.$Properties {
    return {
      name: `${this.#prefix}graph`,
      node: this.#nodes,
      input: this.#inputs,
      output: this.#outputs,
      initializer: this.#initializers,
    };
  }

  bytes(opset = 17): Uint8Array {
    const model = { irVersion: 8, opsetImport: [{ domain: '', version: opset }], graph: this.graph() };
    return onnx.ModelProto.encode(model).finish();
  }
}

function typeOf(dtype: DType, dims?: Dims): onnx.TypeProto.$Properties {
  const dim = dims?.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { tensorType: { elemType: codeOfDType(dtype), ...(dim && { shape: { dim } }) } };
}

function attributeOf(name: string, value: Attribute): onnx.AttributeProto.$Properties {
  const { AttributeType } = onnx.AttributeProto;
  const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: bytes(value) };
  if ('graph' in value) return { name, type: AttributeType.GRAPH, g: value.graph.graph() };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  if (typeof value[0] === 'string') {
    return { name, type: AttributeType.STRINGS, strings: (value as readonly string[]).map(bytes) };
  }
  return { name, type: AttributeType.INTS, ints: [...(value as readonly number[])] };
}
