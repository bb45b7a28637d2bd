/** Nodes and graphs as JSON, for plans: the steps of the reference backend and the debug section. */

import { ConstantData } from './constant.js';
import {
  addDims,
  applyDimFunction,
  compileDim,
  type Dim,
  DimExpression,
  type DimFunction,
  type DimSymbol,
  mulDims,
  symbolDim,
} from './dim.js';
import { isDType } from './dtype.js';
import { invariant } from './errors.js';
import type { AttributeValue, Attributes, Graph, Node, Value } from './graph.js';
import { GraphBuilder } from './graph-builder.js';
import { definerOf, topologicalOrder, typeSymbols } from './order.js';
import type { PlanExpression } from './plan.js';
import type { Type } from './type.js';

/** Where a constant's bytes went: decided by the writer, understood by the reader. */
export type ConstantReference = unknown;

export interface SerializeContext {
  symbol(s: DimSymbol): number;
  constant(data: ConstantData): ConstantReference;
}

export interface DeserializeContext {
  symbol(index: number): DimSymbol;
  constant(reference: ConstantReference): ConstantData;
}

type Reference = readonly [node: number, output: number];

export interface SerializedNode {
  readonly op: string;
  readonly inputs: readonly (Reference | null)[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly regions: readonly SerializedGraph[];
  /** Types of the outputs; absent for inputs, whose type is an attribute. */
  readonly types?: readonly unknown[];
  /** Symbols that its outputs' shapes define. */
  readonly defines?: readonly number[];
}

export interface SerializedGraph {
  readonly nodes: readonly SerializedNode[];
  readonly inputs: readonly Reference[];
  readonly outputs: readonly Reference[];
}

/** A node without its inputs. */
export interface SerializedOperator {
  readonly op: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly regions: readonly SerializedGraph[];
  readonly inputTypes: readonly unknown[];
  readonly types: readonly unknown[];
}

export function planExpression(d: Dim, symbol: (s: DimSymbol) => number): PlanExpression {
  return compileDim(d).map((c) => (c[0] === 'c' ? c[1] : c[0] === 's' ? `s${String(symbol(c[1]))}` : c[0]));
}

export function parsePlanExpression(code: PlanExpression, symbol: (index: number) => DimSymbol): Dim {
  const stack: Dim[] = [];
  for (const c of code) {
    if (typeof c === 'number') stack.push(c);
    else if (/^s\d+$/.test(c)) stack.push(symbolDim(symbol(Number(c.slice(1)))));
    else {
      const b = stack.pop();
      const a = stack.pop();
      invariant(a !== undefined && b !== undefined, 'a plan expression lacks operands');
      stack.push(c === '+' ? addDims(a, b) : c === '*' ? mulDims(a, b) : applyDimFunction(c as DimFunction, a, b));
    }
  }
  invariant(stack.length === 1, 'a plan expression leaves more than one value');
  return stack[0]!;
}

export function serializeOperator(node: Node, context: SerializeContext): SerializedOperator {
  return {
    op: node.op,
    attributes: serializeAttributes(node.attributes, context),
    regions: node.regions.map((g) => serializeGraph(g, context)),
    inputTypes: node.inputs.map((v) => (v ? serializeType(v.type, context) : null)),
    types: node.outputs.map((v) => serializeType(v.type, context)),
  };
}

/** The operator on fresh inputs of the recorded types. */
export function deserializeOperator(data: SerializedOperator, context: DeserializeContext): Node {
  const builder = new GraphBuilder();
  const inputs = data.inputTypes.map((t, i) =>
    t === null ? undefined : builder.input(`input${String(i)}`, deserializeType(t, context)),
  );
  const regions = data.regions.map((g) => deserializeGraph(g, builder, context));
  const types = data.types.map((t) => deserializeType(t, context));
  const [output] = builder.restore(
    data.op,
    inputs,
    deserializeAttributes(data.attributes, context),
    regions,
    types,
    [],
  );
  invariant(output, 'a serialized operator has no outputs');
  return output.node;
}

export function serializeGraph(graph: Graph, context: SerializeContext): SerializedGraph {
  const order = topologicalOrder(graph);
  const position = new Map(order.map((n, i) => [n, i]));
  const reference = (v: Value): Reference => [position.get(v.node)!, v.index];
  return {
    nodes: order.map((n) => ({
      op: n.op,
      inputs: n.inputs.map((v) => (v ? reference(v) : null)),
      attributes: serializeAttributes(n.attributes, context),
      regions: n.regions.map((g) => serializeGraph(g, context)),
      ...(n.op !== 'input' && {
        types: n.outputs.map((v) => serializeType(v.type, context)),
        ...serializeDefinitions(n, context),
      }),
    })),
    inputs: graph.inputs.map(reference),
    outputs: graph.outputs.map(reference),
  };
}

export function deserializeGraph(data: SerializedGraph, builder: GraphBuilder, context: DeserializeContext): Graph {
  const nodes: (readonly Value[])[] = [];
  const value = ([node, output]: Reference): Value => {
    const v = nodes[node]?.[output];
    invariant(v, 'a serialized graph refers to a value it does not have');
    return v;
  };
  for (const n of data.nodes) {
    const attributes = deserializeAttributes(n.attributes, context);
    const regions = n.regions.map((g) => deserializeGraph(g, builder, context));
    nodes.push(
      n.op === 'input'
        ? [builder.input(attributes['name'] as string, attributes['type'] as Type)]
        : builder.restore(
            n.op,
            n.inputs.map((r) => (r ? value(r) : undefined)),
            attributes,
            regions,
            (n.types ?? []).map((t) => deserializeType(t, context)),
            (n.defines ?? []).map((s) => context.symbol(s)),
          ),
    );
  }
  return { inputs: data.inputs.map(value), outputs: data.outputs.map(value) };
}

function serializeDefinitions(node: Node, context: SerializeContext): { defines?: number[] } {
  const symbols = node.outputs.flatMap((v) => [...typeSymbols(v.type)].filter((s) => definerOf(s)?.node === node));
  return symbols.length > 0 ? { defines: [...new Set(symbols)].map((s) => context.symbol(s)) } : {};
}

function serializeAttributes(attributes: Attributes, context: SerializeContext): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(attributes)) {
    // Tokens only keep nodes apart within one graph builder.
    if (value !== undefined && name !== 'token') out[name] = serializeAttribute(value, context);
  }
  return out;
}

function serializeAttribute(value: AttributeValue, context: SerializeContext): unknown {
  if (value instanceof DimExpression) return { dim: planExpression(value, (s) => context.symbol(s)) };
  if (value instanceof ConstantData) return { constant: context.constant(value) };
  if (Array.isArray(value)) return (value as readonly AttributeValue[]).map((v) => serializeAttribute(v, context));
  if (typeof value === 'object') return { type: serializeType(value as Type, context) };
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
    return { number: Object.is(value, -0) ? '-0' : String(value) };
  return value;
}

function deserializeAttributes(data: Readonly<Record<string, unknown>>, context: DeserializeContext): Attributes {
  return Object.fromEntries(Object.entries(data).map(([name, value]) => [name, deserializeAttribute(value, context)]));
}

function deserializeAttribute(value: unknown, context: DeserializeContext): AttributeValue {
  if (Array.isArray(value)) return value.map((v) => deserializeAttribute(v, context)) as unknown as AttributeValue;
  if (typeof value !== 'object' || value === null) return value as AttributeValue;
  if ('dim' in value) return parsePlanExpression(value.dim as PlanExpression, (i) => context.symbol(i));
  if ('constant' in value) return context.constant(value.constant);
  if ('number' in value) return Number(value.number);
  invariant('type' in value, 'an unknown attribute form in a serialized node');
  return deserializeType(value.type, context);
}

function serializeType(type: Type, context: SerializeContext): unknown {
  if (type.kind !== 'tensor') return { ...type, element: serializeType(type.element, context) };
  return {
    kind: 'tensor',
    dtype: type.dtype,
    dims: type.dims?.map((d) => planExpression(d, (s) => context.symbol(s))) ?? null,
  };
}

function deserializeType(data: unknown, context: DeserializeContext): Type {
  const type = data as {
    kind: string;
    key?: unknown;
    element?: unknown;
    dtype?: unknown;
    dims?: readonly PlanExpression[] | null;
  };
  if (type.kind === 'tensor') {
    invariant(typeof type.dtype === 'string' && isDType(type.dtype), 'a serialized type has an unknown dtype');
    return {
      kind: 'tensor',
      dtype: type.dtype,
      dims: type.dims?.map((d) => parsePlanExpression(d, (i) => context.symbol(i))),
    };
  }
  const element = deserializeType(type.element, context);
  if (type.kind === 'map') return { kind: 'map', key: type.key === 'string' ? 'string' : 'int64', element };
  invariant(type.kind === 'sequence' || type.kind === 'optional', 'a serialized type has an unknown kind');
  return { kind: type.kind, element };
}
