/** Makes nodes: checks them against the operator's schema, infers their types, and hash-conses them. */

import { type Agreement, setAgreements } from './agreements.js';
import { ConstantData } from './constant.js';
import {
  asSymbol,
  createSymbol,
  type Dim,
  DimExpression,
  dimKey,
  dimSymbols,
  type DimSymbol,
  formatDim,
  provablyEqual,
  symbolDim,
} from './dim.js';
import type { DType } from './dtype.js';
import { TensorwrightError } from './errors.js';
import { inferFacts } from './facts.js';
import { setDefiner } from './order.js';
import type { AttributeValue, Attributes, Graph, Node, Value } from './graph.js';
import { type InferContext, type Operator, operatorOf } from './operator.js';
import { Provenance } from './provenance.js';
import { scalarTensor } from './scalar-tensor.js';
import { elementCount, Tensor } from './tensor.js';
import { formatType, tensorType, type TensorType, type Type, typeKey } from './type.js';

/** Constants up to this many elements are shared by content, larger ones by identity. */
const internedConstantElements = 64;

let nextNodeId = 1;
let nextToken = 1;

export class GraphBuilder {
  /** Node → names of the user's nodes. New nodes inherit `origin`. */
  readonly provenance: Provenance;
  /** Names of the user's nodes that what is made now comes from. */
  origin: readonly string[] = [];
  readonly #table = new Map<string, Node>();
  readonly #attributeObjects = new WeakMap<object, number>();
  #nextObject = 1;

  constructor(base?: GraphBuilder) {
    this.provenance = base?.provenance ?? new Provenance();
  }

  /** The operator's outputs. @throws ERR_INVALID_MODEL when inputs, attributes or types do not fit the operator */
  node(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    regions: readonly Graph[] = [],
  ): readonly Value[] {
    const operator = operatorOf(op);
    const complete = completeAttributes(operator, attributes);
    const trimmed = trimOmitted(inputs);
    const key = operator.stateful === true || regions.length > 0 ? undefined : this.#key(op, trimmed, complete);
    const known = key === undefined ? undefined : this.#table.get(key);
    if (known) {
      this.provenance.add(known, this.origin);
      return known.outputs;
    }
    const node = this.#make(operator, trimmed, complete, regions);
    if (key !== undefined) this.#table.set(key, node);
    this.provenance.add(node, this.origin);
    return node.outputs;
  }

  /**
   * A node read back from a file: its types are those recorded, for what inference knew when it was first made (the
   * values of constants, say) may be gone. `defines`: the symbols that get their values from its outputs' shapes.
   */
  restore(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    regions: readonly Graph[],
    types: readonly Type[],
    defines: readonly DimSymbol[],
  ): readonly Value[] {
    const operator = operatorOf(op);
    checkArity(operator, inputs);
    return assemble(op, Object.freeze([...inputs]), completeAttributes(operator, attributes), regions, types, defines)
      .outputs;
  }

  /** `node` for operators with one output. */
  op(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    regions: readonly Graph[] = [],
  ): Value {
    return this.node(op, inputs, attributes, regions)[0]!;
  }

  /** A new input of a graph or region: never merged with another. */
  input(name: string, type: Type): Value {
    return this.op('input', [], { name, type, token: nextToken++ });
  }

  constant(data: ConstantData | Tensor): Value {
    return this.op('constant', [], { data: data instanceof Tensor ? ConstantData.of(data) : data });
  }

  /** A scalar (rank 0) constant, rounded to the dtype. */
  scalar(value: number | bigint, dtype: DType): Value {
    return this.constant(scalarTensor(value, dtype));
  }

  /** An int64 tensor with these elements: rank 0 for a single Dim, rank 1 for a list. */
  dims(values: Dim | readonly Dim[]): Value {
    return Array.isArray(values)
      ? this.op('dims', [], { values: values as readonly Dim[], rank: 1 })
      : this.op('dims', [], { values: [values as Dim], rank: 0 });
  }

  #make(
    operator: Operator,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    regions: readonly Graph[],
  ): Node {
    checkArity(operator, inputs);
    const fresh: DimSymbol[] = [];
    const agreements: Agreement[] = [];
    const context = inferContext(operator.name, inputs, attributes, regions, {
      symbol: (symbol) => fresh.push(symbol),
      agreement: (agreement) => agreements.push(agreement),
    });
    const types = operator.infer(context);
    const node = assemble(operator.name, inputs, attributes, regions, types, fresh);
    if (agreements.length > 0) setAgreements(node, agreements);
    return node;
  }

  #key(op: string, inputs: readonly (Value | undefined)[], attributes: Attributes): string {
    let key = op;
    for (const v of inputs) key += v ? `|${String(v.node.id)}.${String(v.index)}` : '|_';
    for (const name of Object.keys(attributes).sort()) {
      const value = attributes[name];
      if (value !== undefined) key += `;${name}=${this.#attributeKey(value)}`;
    }
    return key;
  }

  #attributeKey(value: AttributeValue): string {
    if (value instanceof DimExpression) return dimKey(value);
    if (value instanceof ConstantData) return constantKey(value);
    if (Array.isArray(value))
      return `[${(value as readonly AttributeValue[]).map((v) => this.#attributeKey(v)).join(',')}]`;
    if (typeof value === 'object') {
      if ('kind' in value) return typeKey(value);
      let id = this.#attributeObjects.get(value);
      if (id === undefined) this.#attributeObjects.set(value, (id = this.#nextObject++));
      return `#${String(id)}`;
    }
    return typeof value === 'string' ? JSON.stringify(value) : Object.is(value, -0) ? '-0' : String(value);
  }
}

function assemble(
  op: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes,
  regions: readonly Graph[],
  types: readonly Type[],
  fresh: readonly DimSymbol[],
): Node {
  const outputs: Value[] = [];
  const node: Node = { id: nextNodeId++, op, inputs, attributes, outputs, regions };
  types.forEach((type, index) => outputs.push(Object.freeze({ node, index, type })));
  Object.freeze(outputs);
  Object.freeze(node);
  for (const symbol of fresh) {
    const having = (is: (d: Dim) => boolean): Value | undefined =>
      outputs.find((o) => o.type.kind === 'tensor' && o.type.dims?.some(is));
    const definer = having((d) => asSymbol(d) === symbol);
    if (definer) setDefiner(symbol, definer);
    else if (having((d) => dimSymbols(d).has(symbol)))
      throw new TensorwrightError(
        'ERR_INVALID_MODEL',
        `${op}: extents are computed from '${symbol.name}', which only the run knows and which is no extent itself`,
        { operator: op },
      );
  }
  return node;
}

/** Told what inference makes up, and what it takes on trust. */
export interface InferenceListener {
  symbol?(symbol: DimSymbol): void;
  agreement?(agreement: Agreement): void;
}

/** What inference and facts see; also used to ask facts of an existing node. */
export function inferContext(
  op: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes,
  regions: readonly Graph[],
  listener: InferenceListener = {},
): InferContext {
  const fail = (message: string): never => {
    const received = inputs.map((v) => (v ? formatType(v.type) : '(omitted)')).join(', ');
    throw new TensorwrightError('ERR_INVALID_MODEL', `${op}: ${message} (inputs: ${received})`, { operator: op });
  };
  const tensor = (i: number): TensorType => {
    const type = inputs[i]?.type;
    if (!type) return fail(`input ${String(i)} is required`);
    if (type.kind !== 'tensor') return fail(`input ${String(i)} must be a tensor, is a ${type.kind}`);
    return type;
  };
  const agreeing = (left: Dim, right: Dim, mayBeOne: Agreement['mayBeOne'], what: string): void => {
    if (provablyEqual(left, right)) return;
    if (typeof left === 'number' && typeof right === 'number')
      fail(`${what}: ${formatDim(left)} and ${formatDim(right)} differ`);
    listener.agreement?.({ left, right, mayBeOne, what });
  };
  return {
    op,
    attributes,
    inputs,
    regions,
    tensor,
    fail,
    dims: (i) => tensor(i).dims ?? fail(`the rank of input ${String(i)} must be known`),
    has: (i) => inputs[i] !== undefined,
    fact: (i) => {
      const v = inputs[i];
      return v && inferFacts(v);
    },
    agree: (a, b, what) => {
      agreeing(a, b, 'neither', what);
      return typeof a === 'number' ? a : b;
    },
    agreeOrOne: (a, b, what) => {
      if (a !== 1 && b !== 1) agreeing(a, b, 'either', what);
    },
    agreeWithin: (extent, own, what) => {
      if (own !== 1) agreeing(extent, own, typeof own === 'number' || extent === 1 ? 'neither' : 'right', what);
    },
    constant: (i) => {
      const v = inputs[i];
      return v?.node.op === 'constant' ? (v.node.attributes['data'] as ConstantData) : undefined;
    },
    fresh: (name, bounds) => {
      const symbol = createSymbol(name, bounds);
      listener.symbol?.(symbol);
      return symbolDim(symbol);
    },
  };
}

function completeAttributes(operator: Operator, given: Attributes): Attributes {
  const known = operator.attributes ?? {};
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(known, name)) {
      throw new TensorwrightError(
        'ERR_INVALID_MODEL',
        `${operator.name}: unknown attribute '${name}'; known: ${Object.keys(known).join(', ') || 'none'}`,
        { operator: operator.name, attribute: name },
      );
    }
  }
  const complete: Record<string, AttributeValue | undefined> = {};
  for (const [name, fallback] of Object.entries(known))
    complete[name] = given[name] ?? (fallback as AttributeValue | undefined);
  return Object.freeze(complete);
}

function trimOmitted(inputs: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
  let n = inputs.length;
  while (n > 0 && inputs[n - 1] === undefined) n--;
  return Object.freeze(inputs.slice(0, n));
}

function checkArity(operator: Operator, inputs: readonly (Value | undefined)[]): void {
  const names = operator.inputs;
  const variadic = names.at(-1)?.endsWith('…') === true;
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_INVALID_MODEL', `${operator.name}: ${message}`, { operator: operator.name });
  };
  if (!variadic && inputs.length > names.length)
    fail(`takes at most ${String(names.length)} inputs, received ${String(inputs.length)}`);
  names.forEach((name, i) => {
    if (!name.endsWith('?') && !name.endsWith('…') && !inputs[i]) fail(`input ${String(i)} '${name}' is required`);
  });
}

function constantKey(data: ConstantData): string {
  const count = elementCount(data.dims);
  if (count > internedConstantElements) return `c${String(data.id)}`;
  const content = data.tensor.data;
  const text = ArrayBuffer.isView(content)
    ? Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('latin1')
    : JSON.stringify(content);
  return `${typeKey(tensorType(data.dtype, data.dims))}:${text}`;
}
