/**
 * Rewriting: a rule is an equation on values with an example, a pass a list of rules. The driver rebuilds the
 * graph bottom-up, applies the rules of each node's operator, and repeats until nothing changes.
 */

import { type Dim, DimExpression, type DimSymbol, substituteDim } from './dim.js';
import { TensorwrightError } from './errors.js';
import type { AttributeValue, Attributes, Graph, Node, Value } from './graph.js';
import { usersOf } from './graph.js';
import type { GraphBuilder } from './graph-builder.js';
import { nodeSymbols, topologicalOrder, typeSymbols } from './order.js';
import type { Type } from './type.js';

/** Nodes rebuilt between two yields: well below a millisecond. */
const nodesPerSlice = 16;

export interface RewriteContext {
  readonly builder: GraphBuilder;
  /** How many nodes and graph outputs read the value. */
  uses(value: Value): number;
}

export interface Rule {
  /** The equation: 'mul(conv(x, w), c) ⇒ conv(x, w·c)'. */
  readonly name: string;
  /** Operators at the root of the pattern; undefined: any. */
  readonly roots: readonly string[] | undefined;
  /** The values that replace the node's outputs, or undefined where the rule does not apply. Never mutates. */
  apply(node: Node, context: RewriteContext): readonly Value[] | Value | undefined;
  /** A graph the rule fires on, for the test that runs every rule. */
  example(builder: GraphBuilder): Graph;
}

export interface RewriteOptions {
  /** Rounds before giving up on a fixpoint. Default: 24. */
  readonly maxRounds?: number;
  /** Called for each rule that fired. */
  readonly onFire?: (rule: Rule, node: Node) => void;
}

/** Work in slices: yields now and then, so that the caller may let others run. Returns the result. */
export type Steps<T> = Generator<undefined, T>;

/** Runs sliced work in one go. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Applies `rules` until nothing changes. @throws ERR_INTERNAL naming the rules that undo each other */
export function rewriteGraph(
  graph: Graph,
  builder: GraphBuilder,
  rules: readonly Rule[],
  options: RewriteOptions = {},
): Graph {
  return finish(rewriteSteps(graph, builder, rules, options));
}

/** `rewriteGraph` in slices. */
export function* rewriteSteps(
  graph: Graph,
  builder: GraphBuilder,
  rules: readonly Rule[],
  options: RewriteOptions = {},
): Steps<Graph> {
  const byRoot = indexByRoot(rules);
  let current = graph;
  const maxRounds = options.maxRounds ?? 24;
  for (let round = 0; round < maxRounds; round++) {
    const fired = new Set<string>();
    const next = yield* rewriteOnce(current, builder, byRoot, (rule, node) => {
      fired.add(rule.name);
      options.onFire?.(rule, node);
    });
    if (sameGraph(next, current)) return next;
    current = next;
    if (round === maxRounds - 1 && fired.size > 0) {
      throw new TensorwrightError(
        'ERR_INTERNAL',
        `rewriting does not end; rules still firing: ${[...fired].join(' | ')}`,
      );
    }
  }
  return current;
}

export function sameGraph(a: Graph, b: Graph): boolean {
  return (
    a === b ||
    (a.outputs.length === b.outputs.length &&
      a.outputs.every((v, i) => v === b.outputs[i]) &&
      a.inputs.every((v, i) => v === b.inputs[i]))
  );
}

/** The graph with symbols replaced: types inferred again, facts and rules see the new extents. */
export function substituteSymbols(graph: Graph, builder: GraphBuilder, replace: ReadonlyMap<DimSymbol, Dim>): Graph {
  return finish(substituteSteps(graph, builder, replace));
}

/** `substituteSymbols` in slices. */
export function* substituteSteps(
  graph: Graph,
  builder: GraphBuilder,
  replace: ReadonlyMap<DimSymbol, Dim>,
): Steps<Graph> {
  return yield* rebuild(graph, builder, () => undefined, new Map(replace));
}

/** Rebuilds with a function that may replace each rebuilt node's outputs. */
export function transformGraph(
  graph: Graph,
  builder: GraphBuilder,
  replace: (node: Node) => readonly Value[] | undefined,
): Graph {
  return finish(transformSteps(graph, builder, replace));
}

/** `transformGraph` in slices. */
export function* transformSteps(
  graph: Graph,
  builder: GraphBuilder,
  replace: (node: Node) => readonly Value[] | undefined,
): Steps<Graph> {
  return yield* rebuild(graph, builder, replace, new Map());
}

type RuleIndex = { readonly byOp: ReadonlyMap<string, readonly Rule[]>; readonly any: readonly Rule[] };

function indexByRoot(rules: readonly Rule[]): RuleIndex {
  const byOp = new Map<string, Rule[]>();
  for (const rule of rules) {
    for (const op of rule.roots ?? []) {
      const list = byOp.get(op);
      if (list) list.push(rule);
      else byOp.set(op, [rule]);
    }
  }
  return { byOp, any: rules.filter((r) => r.roots === undefined) };
}

function* rewriteOnce(
  graph: Graph,
  builder: GraphBuilder,
  rules: RuleIndex,
  onFire: (rule: Rule, node: Node) => void,
): Steps<Graph> {
  const order = topologicalOrder(graph);
  const counts = new Map<Value, number>();
  for (const [value, users] of usersOf(order)) counts.set(value, users.length);
  for (const output of graph.outputs) counts.set(output, (counts.get(output) ?? 0) + 1);
  const context: RewriteContext = { builder, uses: (value) => counts.get(value) ?? 1 };
  const carry = (old: Node, values: readonly Value[]): void => {
    old.outputs.forEach((from, i) => {
      const to = values[i];
      if (to && to !== from) counts.set(to, Math.max(counts.get(to) ?? 0, counts.get(from) ?? 0));
    });
  };
  return yield* rebuild(
    graph,
    builder,
    (node, old) => {
      if (old !== node) carry(old, node.outputs);
      const candidates = rules.byOp.get(node.op);
      for (const rule of candidates ? [...candidates, ...rules.any] : rules.any) {
        const result = rule.apply(node, context);
        if (result === undefined) continue;
        const values: readonly Value[] = Array.isArray(result) ? (result as readonly Value[]) : [result as Value];
        if (values.every((v, i) => v === node.outputs[i])) continue;
        onFire(rule, node);
        for (const v of values) builder.provenance.add(v.node, builder.provenance.of(node));
        carry(old, values);
        return values;
      }
      return undefined;
    },
    new Map(),
    (region) => finish(rewriteOnce(region, builder, rules, onFire)),
  );
}

function* rebuild(
  graph: Graph,
  builder: GraphBuilder,
  replace: (node: Node, old: Node) => readonly Value[] | undefined,
  symbols: Map<DimSymbol, Dim>,
  rewriteRegion?: (region: Graph) => Graph,
): Steps<Graph> {
  const rebuilder = new Rebuilder(builder, symbols, rewriteRegion);
  let count = 0;
  for (const old of topologicalOrder(graph)) {
    if (++count % nodesPerSlice === 0) yield;
    const node = rebuilder.rebuild(old);
    const values = node.op === 'input' ? undefined : replace(node, old);
    rebuilder.set(old, values ? node.outputs.map((v, i) => values[i] ?? v) : node.outputs);
  }
  builder.origin = [];
  const next = rebuilder.graphOf(graph);
  return sameGraph(next, graph) ? graph : next;
}

/**
 * Makes a graph anew, node by node in order, on whatever its inputs have become. A node made anew has new symbols where
 * the old one had fresh ones; later nodes speak of the new.
 */
export class Rebuilder {
  readonly #builder: GraphBuilder;
  readonly #symbols: Map<DimSymbol, Dim>;
  readonly #rewriteRegion: ((region: Graph) => Graph) | undefined;
  readonly #mapped = new Map<Value, Value>();

  constructor(
    builder: GraphBuilder,
    symbols: Map<DimSymbol, Dim> = new Map(),
    rewriteRegion?: (region: Graph) => Graph,
  ) {
    this.#builder = builder;
    this.#symbols = symbols;
    this.#rewriteRegion = rewriteRegion;
  }

  /** What `old` has become; itself where nothing changed. */
  value(old: Value): Value {
    return this.#mapped.get(old) ?? old;
  }

  /** The node on its inputs' replacements; the same object where nothing changed. Its outputs are not recorded yet. */
  rebuild(old: Node): Node {
    const builder = this.#builder;
    builder.origin = builder.provenance.of(old);
    if (old.op === 'input') return this.#input(old);
    return this.rebuildOn(
      old,
      old.inputs.map((v) => v && this.value(v)),
    );
  }

  /** `rebuild` with the inputs given. */
  rebuildOn(old: Node, inputs: readonly (Value | undefined)[]): Node {
    const attributes = this.#symbols.size > 0 ? substituteAttributes(old.attributes, this.#symbols) : old.attributes;
    // Nodes of regions have origins of their own.
    const { origin } = this.#builder;
    const regions = old.regions.map((g) => {
      const substituted = substituteRegion(g, this.#builder, this.#symbols);
      return this.#rewriteRegion ? this.#rewriteRegion(substituted) : substituted;
    });
    this.#builder.origin = origin;
    const typesTouched =
      this.#symbols.size > 0 && old.outputs.some((o) => [...typeSymbols(o.type)].some((s) => this.#symbols.has(s)));
    const same =
      !typesTouched &&
      attributes === old.attributes &&
      inputs.every((v, i) => v === old.inputs[i]) &&
      regions.every((g, i) => g === old.regions[i]);
    return same ? old : this.#builder.node(old.op, inputs, attributes, regions)[0]!.node;
  }

  /** Records what the outputs of `old` have become. */
  set(old: Node, values: readonly Value[]): void {
    old.outputs.forEach((from, i) => {
      const to = values[i];
      if (to) this.setValue(from, to);
    });
  }

  setValue(from: Value, to: Value): void {
    this.#mapped.set(from, to);
    // The replacement may state the same extent by another symbol.
    if (to !== from) recordTypeSymbols(from.type, to.type, this.#symbols);
  }

  graphOf(graph: Graph): Graph {
    return { inputs: graph.inputs.map((v) => this.value(v)), outputs: graph.outputs.map((v) => this.value(v)) };
  }

  #input(old: Node): Node {
    const type = old.attributes['type'] as Type;
    const next = substituteType(type, this.#symbols);
    return next === type ? old : this.#builder.input(old.attributes['name'] as string, next).node;
  }
}

function substituteRegion(region: Graph, builder: GraphBuilder, symbols: Map<DimSymbol, Dim>): Graph {
  const touched =
    symbols.size > 0 && topologicalOrder(region).some((n) => [...nodeSymbols(n)].some((s) => symbols.has(s)));
  return touched ? finish(rebuild(region, builder, () => undefined, new Map(symbols))) : region;
}

export function substituteType(type: Type, symbols: ReadonlyMap<DimSymbol, Dim>): Type {
  if (![...typeSymbols(type)].some((s) => symbols.has(s))) return type;
  if (type.kind !== 'tensor') return { ...type, element: substituteType(type.element, symbols) };
  return { ...type, dims: type.dims?.map((d) => substituteDim(d, (s) => symbols.get(s))) };
}

function substituteAttributes(attributes: Attributes, symbols: ReadonlyMap<DimSymbol, Dim>): Attributes {
  const sub = (d: AttributeValue): AttributeValue =>
    d instanceof DimExpression ? substituteDim(d, (s) => symbols.get(s)) : d;
  let changed = false;
  const next: Record<string, AttributeValue | undefined> = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (Array.isArray(value) && value.some((d) => d instanceof DimExpression)) {
      next[name] = (value as readonly Dim[]).map(sub) as readonly Dim[];
      changed = true;
    } else if (value instanceof DimExpression) {
      next[name] = sub(value);
      changed = true;
    } else {
      next[name] = value;
    }
  }
  return changed ? next : attributes;
}

function recordTypeSymbols(from: Type, to: Type, symbols: Map<DimSymbol, Dim>): void {
  if (from.kind !== 'tensor' || to.kind !== 'tensor' || !from.dims || !to.dims) return;
  from.dims.forEach((d, axis) => {
    if (!(d instanceof DimExpression) || d.constant !== 0 || d.terms.length !== 1) return;
    const [term] = d.terms;
    const [atom] = term!.atoms;
    if (term!.coefficient !== 1 || term!.atoms.length !== 1 || atom!.kind !== 'symbol') return;
    const target = to.dims![axis];
    if (target !== undefined && !(target instanceof DimExpression && target.key === d.key) && !symbols.has(atom!))
      symbols.set(atom!, target);
  });
}
