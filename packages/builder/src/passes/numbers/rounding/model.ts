/**
 * What 16 bits cost a network, told from its weights alone. Inputs count as numbers between -1 and 1; every weight and every stored
 * element is rounded by itself, and errors and elements go through the operators as independent random numbers. Errors
 * made early are carried through all that follows, and those of large elements weigh most where little is left of
 * these: behind a saturated activation the deviation is small, the error not. What is not modelled (recurrences,
 * attention, norms) ends the walk: the error is that of the values which arrive there, or at outputs.
 */

import {
  constantOf,
  type Dim,
  type Graph,
  type Node,
  operatorOf,
  readNumbers,
  type Steps,
  Tensor,
  topologicalOrder,
  usersOf,
  type Value,
} from '@tensorwright/core';
import { dimsOf } from '../../rules.js';
import { contract, weightsOf } from './contractions.js';
import {
  asShared,
  type Entries,
  mapSamples,
  type Moments,
  momentsOf,
  momentsOfSamples,
  pooled,
  product,
  relativeError,
  samplesOf,
  stored,
  sum,
  total,
} from './moments.js';

/** Of what the first contractions read: numbers evenly spread between -1 and 1. */
const inputEntries: Entries = [0, 1 / 3, 0, 0];

/** A function of one value's elements, on samples of these. */
interface Function {
  readonly base: Value;
  readonly samples: Tensor;
}

interface Walk {
  /** Mean square of relative rounding errors. */
  readonly rounding: number;
  readonly isNarrow: (contraction: Node) => boolean;
  readonly moments: Map<Value, Moments>;
  readonly functions: Map<Value, Function>;
  /** Computed in 16 bits, and rounded where it is stored. */
  readonly narrow: Set<Value>;
  /** Depends on a contraction: nothing is known of it when it has no moments. */
  readonly computed: Set<Value>;
  readonly readers: ReadonlyMap<Value, readonly Node[]>;
}

/**
 * The largest error that arrives anywhere: root mean square over the standard deviation.
 * @param rounding mean square of the relative error of a rounded number
 * @param isNarrow which contractions run in 16 bits; maps follow what they read
 */
export function* predictedError(graph: Graph, rounding: number, isNarrow: (node: Node) => boolean): Steps<number> {
  const order = topologicalOrder(graph);
  const walk: Walk = {
    rounding,
    isNarrow,
    moments: new Map(),
    functions: new Map(),
    narrow: new Set(),
    computed: new Set(),
    readers: usersOf(order),
  };
  for (const node of order) {
    yield;
    if (node.op === 'constant') continue;
    const contracts = node.op === 'conv' || node.op === 'dot';
    if (contracts || node.inputs.some((v) => v && walk.computed.has(v)))
      for (const v of node.outputs) walk.computed.add(v);
    const value = node.outputs[0];
    const moments = value && carry(node, walk);
    if (!moments) continue;
    const isNarrowNow = contracts ? isNarrow(node) : node.inputs.some((v) => v && walk.narrow.has(v));
    if (isNarrowNow) walk.narrow.add(value);
    const readers = walk.readers.get(value) ?? [];
    const isStored = readers.some((r) => operatorOf(r.op).kind !== 'map');
    if (isStored) walk.functions.delete(value);
    walk.moments.set(value, isStored && isNarrowNow ? stored(moments, rounding) : moments);
  }
  let worst = 0;
  const outputs = new Set(graph.outputs);
  for (const [value, moments] of walk.moments) {
    const arrives = outputs.has(value) || (walk.readers.get(value) ?? []).some((r) => !walk.moments.has(r.outputs[0]!));
    const error = arrives ? relativeError(moments) : 0;
    // Not of weights that are not finite, whose error is not a number.
    if (error > worst) worst = error;
  }
  return worst;
}

/** Mean square of relative errors of rounding to `bits` significant bits, mantissas being as likely as they usually are. */
export function roundingOf(bits: number): number {
  // (2^-bits)² / 3 at mantissa 1, and the mean of 1/m² over log-uniform mantissas m of [1, 2).
  return (4 ** -bits / 3) * (3 / (8 * Math.LN2));
}

function carry(node: Node, walk: Walk): Moments | undefined {
  const operator = operatorOf(node.op);
  const x = node.inputs[0];
  if (operator.kind === 'contraction') return carryContraction(node, walk);
  if (operator.kind === 'map') return carryMap(node, walk);
  const known = x && walk.moments.get(x);
  if (!known) return undefined;
  switch (node.op) {
    // An average of neighbours that are much alike, one of them, or what lies between.
    case 'pool':
    case 'resize':
    case 'pad':
      return known;
    case 'reduce':
      return carrySum(node, known);
    case 'reshape':
      return flattened(node, known) ?? together(node, walk);
    case 'transpose':
      return together(node, walk);
    case 'concat':
      return joined(node, walk) ?? together(node, walk);
    default:
      return undefined;
  }
}

function carryContraction(node: Node, walk: Walk): Moments | undefined {
  const x = node.inputs[0];
  const weights = x && weightsOf(node);
  if (!weights) return undefined;
  const narrow = walk.isNarrow(node);
  let data = walk.moments.get(x);
  if (!data) {
    if (walk.computed.has(x)) return undefined;
    data = momentsOf(1, () => inputEntries);
  }
  if (narrow && !walk.narrow.has(x)) data = stored(data, walk.rounding);
  return contract(node, weights, data, narrow ? walk.rounding : 0);
}

function carryMap(node: Node, walk: Walk): Moments | undefined {
  const result = node.outputs[0]!;
  const channels = dimsOf(result)?.[1];
  const values = node.inputs.filter((v): v is Value => v !== undefined && v.node.op !== 'constant');
  const moments = values.map((v) => walk.moments.get(v));
  if (values.length === 0 || moments.some((m) => m === undefined) || typeof channels !== 'number') return undefined;
  const bases = new Set(values.map((v) => walk.functions.get(v)?.base ?? v));
  if (bases.size > 1) {
    const [a, b] = values.map((v, i) => acrossPlaces(v, moments[i]!, result)) as [Moments, Moments];
    if (values.length !== 2 || node.inputs.length !== 2) return undefined;
    if (node.op === 'add' || node.op === 'sub') return sum(a, b, node.op === 'add' ? 1 : -1);
    return node.op === 'mul' ? product(a, b) : undefined;
  }
  const [base] = bases as unknown as [Value];
  const from = walk.moments.get(base)!;
  const inputs = node.inputs.map((v) => {
    if (!v) return undefined;
    if (v.node.op !== 'constant') return walk.functions.get(v)?.samples ?? samplesOf(from);
    return perChannel(v, dimsOf(result)!.length, channels);
  });
  if (inputs.some((t) => t === undefined)) return undefined;
  const samples = mapSamples(node, inputs as Tensor[]);
  if (!samples) return undefined;
  walk.functions.set(result, { base, samples });
  return momentsOfSamples(from, samples);
}

/** A constant that varies along the channel axis only, as [channels, 1]. */
function perChannel(v: Value, rank: number, channels: number): Tensor | undefined {
  const constant = constantOf(v);
  if (constant?.dtype !== 'float32') return undefined;
  const lead = rank - constant.dims.length;
  if (lead < 0 || constant.dims.some((d, axis) => d !== 1 && (axis + lead !== 1 || d !== channels))) return undefined;
  return new Tensor('float32', Float32Array.from(readNumbers(constant)), [constant.size, 1]);
}

/** An operand with one element per channel that meets many: its errors are common to them. */
function acrossPlaces(v: Value, m: Moments, result: Value): Moments {
  const single = (dims: readonly Dim[] | undefined): boolean => dims?.slice(2).every((d) => d === 1) === true;
  return single(dimsOf(v)) && !single(dimsOf(result)) ? asShared(m) : m;
}

function carrySum(node: Node, x: Moments): Moments | undefined {
  const dims = dimsOf(node.inputs[0]);
  const { monoid, axes } = node.attributes as { monoid?: string; axes?: readonly number[] };
  if (monoid !== 'sum' || !dims || !axes) return undefined;
  const extents = axes.map((axis) => dims[axis < 0 ? axis + dims.length : axis]!);
  if (axes.some((axis) => axis === 0 || axis === 1) || !extents.every((d) => typeof d === 'number')) return undefined;
  return total(
    x,
    extents.reduce((n, d) => n * d, 1),
    axes.length === dims.length - 2,
  );
}

/** [batch, channels, …] as rows of all their elements: each channel's moments for all that come from it. */
function flattened(node: Node, x: Moments): Moments | undefined {
  const from = dimsOf(node.inputs[0]);
  const to = dimsOf(node.outputs[0]);
  const [rows, channels] = [to?.[1], from?.[1]];
  if (to?.length !== 2 || typeof rows !== 'number' || typeof channels !== 'number' || from?.[0] !== to[0])
    return undefined;
  if (x.mean.length === 1) return x;
  const each = rows / channels;
  if (!Number.isInteger(each)) return undefined;
  const spreadOut = (of: Float64Array): Float64Array =>
    Float64Array.from({ length: rows }, (_, i) => of[Math.floor(i / each)]!);
  return { mean: spreadOut(x.mean), spread: spreadOut(x.spread), common: spreadOut(x.common), own: spreadOut(x.own) };
}

/** Channels behind each other. */
function joined(node: Node, walk: Walk): Moments | undefined {
  const axis = node.attributes['axis'] as number;
  const rank = dimsOf(node.outputs[0])?.length ?? 0;
  if (rank !== 4 || (axis !== 1 && axis !== 1 - rank)) return undefined;
  const parts = node.inputs.map((v) => {
    const m = v && walk.moments.get(v);
    const channels = dimsOf(v)?.[1];
    if (!m || typeof channels !== 'number') return undefined;
    return m.mean.length === channels ? m : m.mean.length === 1 ? sum(m, zeros(channels), 1) : undefined;
  });
  if (!parts.every((m) => m !== undefined)) return undefined;
  const all = (key: keyof Moments): Float64Array => Float64Array.from(parts.flatMap((m) => [...m[key]]));
  return { mean: all('mean'), spread: all('spread'), common: all('common'), own: all('own') };
}

function zeros(channels: number): Moments {
  return momentsOf(channels, () => [0, 0, 0, 0]);
}

/** What moves elements to where a channel can no longer be told: one entry for all. */
function together(node: Node, walk: Walk): Moments | undefined {
  const parts = node.inputs.map((v) => {
    const moments = v && walk.moments.get(v);
    const extents = dimsOf(v)?.slice(1);
    if (!moments || extents?.every((d) => typeof d === 'number') !== true) return undefined;
    return { moments, weight: extents.reduce((n, d) => n * d, 1) };
  });
  return parts.every((p) => p !== undefined) ? pooled(parts) : undefined;
}
