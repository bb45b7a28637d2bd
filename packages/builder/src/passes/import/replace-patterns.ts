/** Puts plugins in the place of the subgraphs that they say they stand for. */

import {
  type Backend,
  cudaKernelsFor,
  finish,
  formatType,
  type Graph,
  type GraphBuilder,
  type LogRecord,
  type Node,
  operatorOf,
  type PatternReport,
  Rebuilder,
  sameGraph,
  type Steps,
  type SubgraphPattern,
  TensorwrightError,
  topologicalOrder,
  usersOf,
  type Value,
} from '@tensorwright/core';
import { isLastResort } from '../../place/last-resort.js';
import { type FoundPattern, matchAt } from './match-pattern.js';
import { mayStandFor } from './stand-in.js';

export interface PatternContext {
  readonly builder: GraphBuilder;
  readonly backends: readonly Backend[];
  readonly log: (record: Omit<LogRecord, 'scope'>) => void;
}

export interface Replaced {
  readonly graph: Graph;
  /** Of every pattern, in their order. */
  readonly reports: readonly PatternReport[];
}

export function* replacePatterns(
  graph: Graph,
  patterns: readonly SubgraphPattern[],
  context: PatternContext,
): Steps<Replaced> {
  const reports = patterns.map(({ plugin, name }) => ({ plugin, pattern: name, matches: 0 }));
  if (patterns.length === 0) return { graph, reports };
  const count = (pattern: SubgraphPattern): void => {
    reports[patterns.indexOf(pattern)]!.matches += 1;
  };
  const next = yield* replaceIn(graph, patterns, context, count);
  for (const { plugin, pattern, matches } of reports)
    context.log({ level: 'info', message: `plugin ${plugin}: ${pattern} matched ${String(matches)} times` });
  return { graph: next, reports };
}

/** A place, and the values that go in and out of it. */
interface Place {
  readonly found: FoundPattern;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | undefined)[];
}

type Count = (pattern: SubgraphPattern) => void;

function* replaceIn(
  graph: Graph,
  patterns: readonly SubgraphPattern[],
  context: PatternContext,
  count: Count,
): Steps<Graph> {
  const order = topologicalOrder(graph);
  const places = yield* findAll(order, patterns);
  const rebuilder = new Rebuilder(context.builder, new Map(), (region) =>
    finish(replaceIn(region, patterns, context, count)),
  );
  const visitor = new Visitor(places, rebuilder, context, count);
  // Outputs of the graph are read by no node.
  for (const unit of [...order, ...new Set(places.values())]) {
    visitor.visit(unit);
    yield;
  }
  context.builder.origin = [];
  const next = rebuilder.graphOf(graph);
  return sameGraph(next, graph) ? graph : next;
}

/** Places by the values that they replace. Earlier patterns come first; what one has replaced is no part of another. */
function* findAll(order: readonly Node[], patterns: readonly SubgraphPattern[]): Steps<Map<Value, Place>> {
  const users = usersOf(order);
  const places = new Map<Value, Place>();
  for (const pattern of patterns) {
    const { op } = pattern.nodes.at(-1)!;
    for (const node of order) {
      if (node.op !== op) continue;
      const found = matchAt(pattern, node, (v) => users.get(v) ?? []);
      yield;
      if (!found || [...found.nodes].some((n) => n.outputs.some((v) => places.has(v)))) continue;
      const valueOf = (name: string | undefined): Value | undefined =>
        name === undefined ? undefined : found.values.get(name);
      const place = { found, inputs: pattern.inputs.map(valueOf), outputs: pattern.outputs.map(valueOf) };
      for (const v of place.outputs) if (v) places.set(v, place);
    }
  }
  return places;
}

/** Makes the nodes and what takes the place of some, each after what it reads. */
class Visitor {
  readonly #places: Map<Value, Place>;
  readonly #rebuilder: Rebuilder;
  readonly #context: PatternContext;
  readonly #count: Count;
  readonly #done = new Set<Node | Place>();
  /** Places that wait for what they read. */
  readonly #open = new Set<Place>();

  constructor(places: Map<Value, Place>, rebuilder: Rebuilder, context: PatternContext, count: Count) {
    this.#places = places;
    this.#rebuilder = rebuilder;
    this.#context = context;
    this.#count = count;
  }

  visit(first: Node | Place): void {
    const stack: (Node | Place)[] = [first];
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      const waiting = this.#done.has(top) ? [] : this.#waitingFor(top);
      if (waiting.length > 0) {
        if ('found' in top) this.#open.add(top);
        stack.push(...waiting);
        continue;
      }
      stack.pop();
      if (this.#done.has(top)) continue;
      this.#done.add(top);
      if ('found' in top) this.#makePlace(top);
      else this.#makeNode(top);
    }
  }

  #waitingFor(unit: Node | Place): (Node | Place)[] {
    return unit.inputs.flatMap((v) => {
      if (!v) return [];
      const place = this.#places.get(v);
      // What has several outputs may feed one of them by way of another: then it has to stay in pieces.
      if (place && (place === unit || this.#open.has(place)) && !this.#done.has(place)) this.#leave(place);
      const maker = this.#places.get(v) ?? v.node;
      return this.#done.has(maker) ? [] : [maker];
    });
  }

  #leave(place: Place): void {
    for (const v of place.outputs) if (v) this.#places.delete(v);
    this.#done.add(place);
  }

  #makeNode(node: Node): void {
    const made = this.#rebuilder.rebuild(node).outputs;
    node.outputs.forEach((v, i) => {
      const place = this.#places.get(v);
      if (!place || !this.#done.has(place)) this.#rebuilder.setValue(v, made[i]!);
    });
  }

  #makePlace(place: Place): void {
    const { pattern } = place.found;
    const inputs = place.inputs.map((v) => v && this.#rebuilder.value(v));
    const made = makeReplacement(place, inputs, this.#context);
    if (typeof made === 'string') {
      this.#context.log({
        level: 'info',
        message: `plugin ${pattern.plugin}: ${pattern.name} is left as it is: ${made}`,
      });
      for (const v of place.outputs) if (v) this.#places.delete(v);
      return;
    }
    this.#count(pattern);
    place.outputs.forEach((v, i) => {
      if (v) this.#rebuilder.setValue(v, made[i]!);
    });
  }
}

/** The outputs, or why there are none. */
function makeReplacement(
  { found: { pattern, match, nodes }, outputs }: Place,
  inputs: readonly (Value | undefined)[],
  { builder, backends }: PatternContext,
): readonly Value[] | string {
  builder.origin = [...new Set([...nodes].flatMap((n) => builder.provenance.of(n)))];
  let made: readonly Value[];
  try {
    made = pattern.replace(match, inputs, builder);
  } catch (error) {
    if (!TensorwrightError.is(error) || !['ERR_INVALID_MODEL', 'ERR_INVALID_ARGUMENT'].includes(error.code))
      throw error;
    return error.message;
  }
  for (const [i, v] of outputs.entries())
    if (v && !mayStandFor(made[i]!.type, v.type))
      return `it gives ${formatType(made[i]!.type)} where ${formatType(v.type)} is`;
  return refuse(made[0]!.node, backends) ?? made;
}

/** Why nobody runs the plugin, or only somebody slow though it has kernels; undefined when all is well. */
function refuse(node: Node, backends: readonly Backend[]): string | undefined {
  const { custom, lower } = operatorOf(node.op);
  if (custom !== true || lower) return undefined;
  const reasons: string[] = [];
  for (const backend of backends) {
    const reason = backend.refuses(node);
    if (reason === undefined) {
      return isLastResort(backend) && cudaKernelsFor(node.op).length > 0 ? reasons.join('; ') : undefined;
    }
    reasons.push(`${backend.name}: ${reason}`);
  }
  return reasons.join('; ');
}
