/**
 * Siblings: products of one operand with several constants (query, key and value projections) become one product with
 * the constants side by side; each sibling is a slice of it, which costs nothing where its readers take views. Siblings
 * that a map follows keep their epilogues instead.
 */

import {
  ConstantData,
  constantDataOf,
  type Dim,
  dotRoles,
  type Graph,
  type Node,
  operatorOf,
  Rebuilder,
  type Steps,
  Tensor,
  topologicalOrder,
  usersOf,
  type Value,
} from '@tensorwright/core';
import type { Pass, PassContext } from '../../pass.js';
import { dimsOf } from '../rules.js';

interface Sibling {
  readonly dot: Node;
  /** The constant of one axis that is added right after, with the node that adds it. */
  readonly bias: { readonly node: Node; readonly constant: ConstantData } | undefined;
  readonly columns: number;
}

export const mergeSiblings: Pass = {
  name: 'merge-siblings',
  phase: 'numbers',
  run: (graph: Graph, context: PassContext): Steps<Graph> => merge(graph, context),
};

function* merge(graph: Graph, context: PassContext): Steps<Graph> {
  const { builder } = context;
  const families = findFamilies(graph);
  if (families.length === 0) return graph;
  const familyOf = new Map<Node, readonly Sibling[]>();
  for (const family of families) for (const s of family) familyOf.set(s.dot, family);
  const rebuilder = new Rebuilder(builder);
  const merged = new Set<readonly Sibling[]>();
  const replaced = new Set<Node>();
  for (const node of topologicalOrder(graph)) {
    yield;
    if (replaced.has(node)) continue;
    const family = familyOf.get(node);
    if (!family) {
      rebuilder.set(node, rebuilder.rebuild(node).outputs);
      continue;
    }
    if (merged.has(family)) continue;
    merged.add(family);
    builder.origin = family.flatMap((s) => [
      ...builder.provenance.of(s.dot),
      ...(s.bias ? builder.provenance.of(s.bias.node) : []),
    ]);
    const parts = emit(family, rebuilder.value(node.inputs[0]!), context);
    family.forEach((s, i) => {
      const last = s.bias?.node ?? s.dot;
      rebuilder.setValue(last.outputs[0]!, parts[i]!);
      replaced.add(s.dot).add(last);
    });
  }
  builder.origin = [];
  return rebuilder.graphOf(graph);
}

function findFamilies(graph: Graph): Sibling[][] {
  const order = topologicalOrder(graph);
  const users = usersOf(order);
  const outputs = new Set(graph.outputs);
  const families = new Map<string, Sibling[]>();
  for (const node of order) {
    const sibling = asSibling(node, users, outputs);
    if (!sibling) continue;
    const { lhs, rhs, out } = node.attributes as unknown as Record<'lhs' | 'rhs' | 'out', string>;
    const key = [node.inputs[0]!.node.id, node.inputs[0]!.index, lhs, rhs, out, sibling.bias !== undefined].join('|');
    families.set(key, [...(families.get(key) ?? []), sibling]);
  }
  return [...families.values()].filter((f) => f.length > 1);
}

function asSibling(
  node: Node,
  users: ReadonlyMap<Value, readonly Node[]>,
  outputs: ReadonlySet<Value>,
): Sibling | undefined {
  if (node.op !== 'dot') return undefined;
  const weights = node.inputs[1]!;
  if (weights.node.op !== 'constant' || weights.type.kind !== 'tensor' || weights.type.dtype !== 'float32')
    return undefined;
  const { lhs, rhs, out } = node.attributes as unknown as Record<'lhs' | 'rhs' | 'out', string>;
  const roles = dotRoles(lhs, rhs, out);
  if (roles.columns.length !== 1 || roles.batch.length > 0 || !out.endsWith(roles.columns[0]!)) return undefined;
  const columns = (dimsOf(weights) as number[])[rhs.indexOf(roles.columns[0]!)]!;
  const readers = users.get(node.outputs[0]!) ?? [];
  if (outputs.has(node.outputs[0]!)) return undefined;
  const bias = readers.length === 1 ? biasOf(readers[0]!, node.outputs[0]!, columns) : undefined;
  const last = bias?.node ?? node;
  if (outputs.has(last.outputs[0]!)) return undefined;
  const followed = (users.get(last.outputs[0]!) ?? []).some((u) => operatorOf(u.op).kind === 'map');
  return followed ? undefined : { dot: node, bias, columns };
}

function biasOf(node: Node, product: Value, columns: number): Sibling['bias'] {
  if (node.op !== 'add') return undefined;
  const other = node.inputs[0] === product ? node.inputs[1] : node.inputs[0];
  const constant = constantDataOf(other);
  return constant?.dims.length === 1 && constant.dims[0] === columns && constant.dtype === 'float32'
    ? { node, constant }
    : undefined;
}

function emit(family: readonly Sibling[], lhs: Value, context: PassContext): Value[] {
  const { builder } = context;
  const [first] = family;
  const { rhs, out } = first!.dot.attributes as unknown as Record<'rhs' | 'out', string>;
  const axis = rhs.indexOf(out.at(-1)!);
  const data = family.map((s) => s.dot.inputs[1]!.node.attributes['data'] as ConstantData);
  const product = builder.op('dot', [lhs, builder.constant(concatConstants(data, axis))], first!.dot.attributes);
  const biased = first!.bias
    ? builder.op('add', [
        product,
        builder.constant(
          concatConstants(
            family.map((s) => s.bias!.constant),
            0,
          ),
        ),
      ])
    : product;
  const dims = dimsOf(biased)!;
  let start = 0;
  return family.map((s) => {
    const starts: Dim[] = dims.map((_, i) => (i === dims.length - 1 ? start : 0));
    const sizes: Dim[] = dims.map((d, i) => (i === dims.length - 1 ? s.columns : d));
    start += s.columns;
    return builder.op('slice', [biased], { starts, sizes, steps: dims.map(() => 1) });
  });
}

/** Read when first needed: the parts may lie in files. */
function concatConstants(parts: readonly ConstantData[], axis: number): ConstantData {
  const dims = [...parts[0]!.dims];
  dims[axis] = parts.reduce((sum, p) => sum + p.dims[axis]!, 0);
  const sideBySide = (tensors: readonly Tensor[]): Tensor => {
    const out = new Float32Array(dims.reduce((p, d) => p * d, 1));
    const inner = dims.slice(axis + 1).reduce((p, d) => p * d, 1);
    const row = dims[axis]! * inner;
    let at = 0;
    for (const part of tensors) {
      const source = part.data as Float32Array;
      const length = part.dims[axis]! * inner;
      for (let o = 0; o * length < source.length; o++)
        out.set(source.subarray(o * length, (o + 1) * length), o * row + at);
      at += length;
    }
    return new Tensor('float32', out, dims);
  };
  return new ConstantData('float32', dims, {
    read: () => sideBySide(parts.map((p) => p.tensor)),
    load: async () => sideBySide(await Promise.all(parts.map((p) => p.load()))),
  });
}
