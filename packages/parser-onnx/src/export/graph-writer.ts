/** One ONNX graph under construction: names of values, nodes, initializers, and where symbolic extents come from. */

import {
  asSymbol,
  type ConstantData,
  type Dim,
  DimExpression,
  type DimSymbol,
  type Graph,
  type Network,
  type Node,
  Tensor,
  TensorwrightError,
  topologicalOrder,
  type Type,
  type Value,
} from '@tensorwright/core';
import type { AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto } from '../proto/decode.js';
import { attributeToProto } from './attribute-to-proto.js';
import { exporters } from './index.js';
import { NodeExport } from './node-export.js';
import type { OnnxAttributes } from './exporter.js';
import { tensorToProto, typeToProto } from './tensor-to-proto.js';

/** What all graphs of one model share. */
export interface ModelWriting {
  readonly network: Network;
  /** Makes a name that no other value of the model has. */
  fresh(stem: string): string;
  /** Of ai.onnx: the oldest that has all operators used, and 21 at least. */
  opset: number;
  /** Domains that nodes use. */
  readonly domains: Set<string>;
}

export class GraphWriter {
  readonly model: ModelWriting;
  readonly #outer: GraphWriter | undefined;
  readonly #names = new Map<Value, string>();
  readonly #constants = new Map<string, string>();
  readonly #symbols = new Map<DimSymbol, { name: string; axis: number }>();
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  #label = '';

  constructor(model: ModelWriting, outer?: GraphWriter) {
    this.model = model;
    this.#outer = outer;
  }

  /** Makes `value` known as `name`; its symbolic extents can be asked of it from now on. */
  bind(value: Value, name: string): void {
    this.#names.set(value, name);
    this.model.opset = Math.max(this.model.opset, opsetOfType(value.type));
    if (value.type.kind !== 'tensor') return;
    value.type.dims?.forEach((d, axis) => {
      const symbol = asSymbol(d);
      if (symbol && !this.symbolPlace(symbol)) this.#symbols.set(symbol, { name, axis });
    });
  }

  symbolPlace(symbol: DimSymbol): { name: string; axis: number } | undefined {
    return this.#symbols.get(symbol) ?? this.#outer?.symbolPlace(symbol);
  }

  nameOf(value: Value): string {
    const known = this.find(value);
    if (known === undefined)
      throw new TensorwrightError('ERR_INTERNAL', `writing ONNX: '${value.node.op}' has no name yet`);
    return known;
  }

  find(value: Value): string | undefined {
    return this.#names.get(value) ?? this.#outer?.find(value);
  }

  emit(op: string, inputs: readonly string[], attributes: OnnxAttributes = {}, outputs = 1, domain = ''): string[] {
    const names = Array.from({ length: outputs }, (_, i) =>
      this.model.fresh(`${this.#label === '' ? op : this.#label}${i === 0 ? '' : `_${i}`}`),
    );
    const attribute: AttributeProto[] = [];
    for (const [name, value] of Object.entries(attributes))
      if (value !== undefined) attribute.push(attributeToProto(name, value, this));
    const trimmed = [...inputs];
    while (trimmed.at(-1) === '') trimmed.pop();
    if (domain !== '') this.model.domains.add(domain);
    this.#nodes.push({
      opType: op,
      input: trimmed,
      output: names,
      name: this.model.fresh(`${op}_node`),
      attribute,
      domain,
    });
    return names;
  }

  initializer(tensor: Tensor): string {
    const key =
      tensor.dtype !== 'string' && tensor.size <= 16
        ? `${tensor.dtype}[${tensor.dims.join()}]${Buffer.from(tensor.bytes).toString('latin1')}`
        : undefined;
    const known = key === undefined ? undefined : this.findConstant(key);
    if (known !== undefined) return known;
    const name = this.model.fresh('constant');
    this.#initializers.push(tensorToProto(tensor, name));
    if (key !== undefined) this.#constants.set(key, name);
    return name;
  }

  findConstant(key: string): string | undefined {
    return this.#constants.get(key) ?? this.#outer?.findConstant(key);
  }

  ints(values: readonly number[]): string {
    return this.initializer(new Tensor('int64', values.map(BigInt)));
  }

  /** A one-element int64 vector. */
  extent(d: Dim): string {
    if (typeof d === 'number') return this.ints([d]);
    let sum: string | undefined;
    const add = (term: string): void => {
      sum = sum === undefined ? term : this.emit('Add', [sum, term])[0]!;
    };
    for (const t of d.terms) {
      let product = t.coefficient === 1 ? undefined : this.ints([t.coefficient]);
      for (const atom of t.atoms) {
        const factor =
          atom.kind === 'symbol'
            ? this.#symbolExtent(atom)
            : this.#call(atom.fn, this.extent(atom.args[0]), this.extent(atom.args[1]));
        product = product === undefined ? factor : this.emit('Mul', [product, factor])[0]!;
      }
      add(product!);
    }
    if (d.constant !== 0) add(this.ints([d.constant]));
    return sum!;
  }

  #symbolExtent(symbol: DimSymbol): string {
    const place = this.symbolPlace(symbol);
    if (!place)
      throw new TensorwrightError('ERR_UNSUPPORTED', `writing ONNX: no value has the extent '${symbol.name}'`);
    return this.emit('Shape', [place.name], { start: place.axis, end: place.axis + 1 })[0]!;
  }

  #call(fn: 'floordiv' | 'mod' | 'min' | 'max', a: string, b: string): string {
    switch (fn) {
      case 'min':
        return this.emit('Min', [a, b])[0]!;
      case 'max':
        return this.emit('Max', [a, b])[0]!;
      case 'mod':
        return this.emit('Mod', [a, b])[0]!;
      case 'floordiv': {
        // ONNX's Div truncates: without the remainder it is exact.
        const rest = this.emit('Mod', [a, b])[0]!;
        return this.emit('Div', [this.emit('Sub', [a, rest])[0]!, b])[0]!;
      }
    }
  }

  extents(dims: readonly Dim[]): string {
    if (dims.every((d) => typeof d === 'number')) return this.ints(dims);
    const parts: string[] = [];
    let run: number[] = [];
    for (const d of dims) {
      if (d instanceof DimExpression) {
        if (run.length > 0) parts.push(this.ints(run));
        run = [];
        parts.push(this.extent(d));
      } else {
        run.push(d);
      }
    }
    if (run.length > 0) parts.push(this.ints(run));
    return parts.length === 1 ? parts[0]! : this.emit('Concat', parts, { axis: 0 })[0]!;
  }

  /** All nodes of `graph`, whose inputs are bound. */
  write(graph: Graph): void {
    for (const node of topologicalOrder(graph)) {
      if (node.op !== 'input' && this.find(node.outputs[0]!) === undefined) this.#writeNode(node);
    }
  }

  #writeNode(node: Node): void {
    this.#label = this.model.network.builder.provenance.of(node).at(-1) ?? '';
    if (node.op === 'constant') {
      this.bind(node.outputs[0]!, this.initializer((node.attributes['data'] as ConstantData).tensor));
      return;
    }
    const exporter = exporters.get(node.op);
    if (!exporter)
      throw new TensorwrightError('ERR_UNSUPPORTED', `writing ONNX: ONNX has no operator for '${node.op}'`, {
        operator: node.op,
      });
    const result = exporter(new NodeExport(node, this));
    const names: readonly string[] = typeof result === 'string' ? [result] : result;
    node.outputs.forEach((v, i) => {
      this.bind(v, names[i]!);
    });
  }

  /** The finished graph. Each output gets a node of its own where its value has a name already. */
  finish(
    name: string,
    inputs: readonly { name: string; type: Type }[],
    outputs: readonly { name: string; value: Value }[],
  ): GraphProto {
    const info = (n: string, type: Type): ValueInfoProto => ({ name: n, type: typeToProto(type) });
    for (const o of outputs)
      this.#nodes.push({
        opType: 'Identity',
        input: [this.nameOf(o.value)],
        output: [o.name],
        name: this.model.fresh('output_node'),
      });
    return {
      name,
      node: this.#nodes,
      initializer: this.#initializers,
      input: inputs.map((i) => info(i.name, i.type)),
      output: outputs.map((o) => info(o.name, o.value.type)),
    };
  }
}

/** The opset that brought the element type. */
function opsetOfType(type: Type): number {
  if (type.kind !== 'tensor') return opsetOfType(type.element);
  if (type.dtype === 'int2' || type.dtype === 'uint2') return 25;
  if (type.dtype === 'float8e8m0') return 24;
  return type.dtype === 'float4e2m1' ? 23 : 1;
}
