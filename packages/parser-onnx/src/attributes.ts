/** Attributes of a node by name and type; references to a function's parameters are resolved here. */

import { ConstantData, type DType, Tensor } from '@tensorwright/core';
import { dtypeOfCode } from './dtype-codes.js';
import type { BoundAttribute, Environment } from './model-context.js';
import { ImportFailure } from './problems.js';
import { type AttributeProto, type NodeProto, onnx, text, toNumber } from './proto/decode.js';
import type { Scope } from './scope.js';
import { constantFromProto, constantFromSparse, type TensorSource } from './tensor-proto.js';

/** As plain numbers: files may hold others. */
const AttributeType: Readonly<Record<keyof typeof onnx.AttributeProto.AttributeType, number>> =
  onnx.AttributeProto.AttributeType;

/** The attribute's type; files before IR 2 do not write it, so what is set decides. */
function typeOf(a: AttributeProto): number {
  if (a.type) return a.type;
  if (a.t) return AttributeType.TENSOR;
  if (a.g) return AttributeType.GRAPH;
  if (a.sparseTensor) return AttributeType.SPARSE_TENSOR;
  if (a.tp) return AttributeType.TYPE_PROTO;
  if (a.floats?.length) return AttributeType.FLOATS;
  if (a.ints?.length) return AttributeType.INTS;
  if (a.strings?.length) return AttributeType.STRINGS;
  if (a.s) return AttributeType.STRING;
  if (a.i !== undefined && a.i !== null) return AttributeType.INT;
  if (a.f !== undefined && a.f !== null) return AttributeType.FLOAT;
  return AttributeType.UNDEFINED;
}

export class AttributeReader {
  readonly #attributes = new Map<string, BoundAttribute>();
  readonly #source: TensorSource;

  constructor(node: NodeProto, environment: Environment, scope: Scope, source: TensorSource) {
    this.#source = source;
    for (const proto of node.attribute ?? []) {
      const name = proto.name ?? '';
      if (this.#attributes.has(name))
        throw new ImportFailure('ERR_INVALID_MODEL', `attribute '${name}' is given twice`);
      const bound = bindAttribute(proto, environment, scope);
      if (bound) this.#attributes.set(name, bound);
    }
  }

  has(name: string): boolean {
    return this.#attributes.has(name);
  }

  bound(name: string): BoundAttribute | undefined {
    return this.#attributes.get(name);
  }

  entries(): ReadonlyMap<string, BoundAttribute> {
    return this.#attributes;
  }

  #get(name: string, type: number, expected: string): AttributeProto | undefined {
    const proto = this.#attributes.get(name)?.proto;
    if (!proto) return undefined;
    const actual = typeOf(proto);
    // A list without entries and without a written type is an empty list of any kind.
    if (actual !== type && !(actual === AttributeType.UNDEFINED && type >= AttributeType.FLOATS)) {
      throw new ImportFailure('ERR_INVALID_MODEL', `attribute '${name}' must be ${expected}`);
    }
    return proto;
  }

  int(name: string): number | undefined {
    const a = this.#get(name, AttributeType.INT, 'an int');
    return a && toNumber(a.i);
  }

  float(name: string): number | undefined {
    const a = this.#get(name, AttributeType.FLOAT, 'a float');
    return a && (a.f ?? 0);
  }

  string(name: string): string | undefined {
    const a = this.#get(name, AttributeType.STRING, 'a string');
    return a && text(a.s);
  }

  ints(name: string): number[] | undefined {
    const list = this.#get(name, AttributeType.INTS, 'a list of ints')?.ints;
    return list ? list.map(toNumber) : undefined;
  }

  floats(name: string): number[] | undefined {
    const list = this.#get(name, AttributeType.FLOATS, 'a list of floats')?.floats;
    return list ? [...list] : undefined;
  }

  strings(name: string): string[] | undefined {
    const list = this.#get(name, AttributeType.STRINGS, 'a list of strings')?.strings;
    return list ? list.map(text) : undefined;
  }

  tensor(name: string): ConstantData | undefined {
    const proto = this.#attributes.get(name)?.proto;
    if (proto && typeOf(proto) === AttributeType.SPARSE_TENSOR && proto.sparseTensor)
      return constantFromSparse(proto.sparseTensor, this.#source);
    const t = this.#get(name, AttributeType.TENSOR, 'a tensor')?.t;
    return t ? constantFromProto(t, this.#source) : undefined;
  }

  /** A tensor; a list of floats counts as one of rank 1. */
  tensorOrFloats(name: string): ConstantData | undefined {
    const proto = this.#attributes.get(name)?.proto;
    if (!proto || typeOf(proto) !== AttributeType.FLOATS) return this.tensor(name);
    const floats = Float32Array.from(proto.floats ?? []);
    return ConstantData.of(new Tensor('float32', floats, [floats.length]));
  }

  dtype(name: string): DType | undefined {
    const code = this.int(name);
    if (code === undefined) return undefined;
    const dtype = dtypeOfCode(code);
    if (!dtype)
      throw new ImportFailure('ERR_UNSUPPORTED', `attribute '${name}' names the unknown element type ${code}`);
    return dtype;
  }

  graph(name: string): BoundAttribute & { graph: NonNullable<AttributeProto['g']> } {
    const proto = this.#get(name, AttributeType.GRAPH, 'a graph');
    if (!proto?.g) throw new ImportFailure('ERR_INVALID_MODEL', `attribute '${name}' (a graph) is missing`);
    return { ...this.#attributes.get(name)!, graph: proto.g };
  }

  typeProto(name: string): AttributeProto['tp'] {
    return this.#get(name, AttributeType.TYPE_PROTO, 'a type')?.tp;
  }
}

/** undefined: a reference to a parameter that the call leaves out. */
export function bindAttribute(
  proto: AttributeProto,
  environment: Environment,
  scope: Scope,
): BoundAttribute | undefined {
  if (!proto.refAttrName) return { proto, environment, scope };
  if (!environment.parameters)
    throw new ImportFailure(
      'ERR_INVALID_MODEL',
      `attribute '${proto.name ?? ''}' refers to '${proto.refAttrName}' outside of a function`,
    );
  return environment.parameters.get(proto.refAttrName);
}
