/**
 * Attention: dot, scale and masks, softmax, dot become one `attention`. Matches the canonical form only, so that one
 * rule serves every exporter.
 */

import {
  type Dim,
  dotRoles,
  type GraphBuilder,
  type Node,
  provablyEqual,
  type RewriteContext,
  type Rule,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { uniformValue } from '../canonicalise/map-algebra.js';
import { dimsOf, rulePass, type RulePass, sameDims, typeOf } from '../rules.js';

/** What lies between the first product and the softmax. */
interface Scores {
  readonly product: Value;
  readonly scale: number;
  /** Added after scaling. */
  readonly masks: readonly Value[];
  /** Also added, with masks along the first axis that serve the batches in turn. */
  readonly turns: readonly Value[];
}

const maxDepth = 8;

/** Walks from the softmax's input down to the product of queries and keys. */
function scoresOf(v: Value, builder: GraphBuilder, uses: (v: Value) => number): Scores | undefined {
  let at = v;
  let scale = 1;
  const masks: Value[] = [];
  const turns: Value[] = [];
  for (let depth = 0; depth < maxDepth; depth++) {
    const { node } = at;
    if (node.op === 'dot') return { product: at, scale, masks, turns };
    if (uses(at) > 1) return undefined;
    const [a, b] = node.inputs as [Value, Value];
    const target = dimsOf(at)!;
    const same = (x: Value): boolean =>
      dimsOf(x)?.length === target.length && dimsOf(x)!.every((d, i) => provablyEqual(d, target[i]!));
    if (node.op === 'add' && scale === 1) {
      const next = leadsToDot(a) && same(a) ? a : leadsToDot(b) && same(b) ? b : undefined;
      if (!next) return undefined;
      masks.push(next === a ? b : a);
      at = next;
    } else if (node.op === 'mul' || node.op === 'div') {
      const factor = uniformValue(b) ?? (node.op === 'mul' ? uniformValue(a) : undefined);
      if (factor === undefined) return undefined;
      scale = node.op === 'mul' ? scale * factor : scale / factor;
      at = uniformValue(b) === undefined ? b : a;
      if (!same(at)) return undefined;
    } else if (node.op === 'where' && scale === 1) {
      // A huge negative fill added to the score is the fill: x + c rounds to c.
      const fill = uniformValue(node.inputs[2]);
      const next = node.inputs[1]!;
      if (fill === undefined || !(fill <= -1e30) || !same(next)) return undefined;
      const zero = builder.scalar(0, typeOf(next).dtype);
      masks.push(builder.op('where', [node.inputs[0], zero, node.inputs[2]]));
      at = next;
    } else if (node.op === 'reshape' && scale === 1) {
      const apart = addedInTurn(at, builder, uses);
      if (!apart) return undefined;
      turns.push(apart.mask);
      at = apart.scores;
    } else {
      return undefined;
    }
  }
  return undefined;
}

/**
 * The scores and the masks of a sum that sees groups of batches, [B·M, …] as [B, M, …]: windows of images, which are
 * folded into the batch, and each of which has a mask of its own that all images share.
 */
function addedInTurn(
  v: Value,
  builder: GraphBuilder,
  uses: (v: Value) => number,
): { readonly scores: Value; readonly mask: Value } | undefined {
  const sum = v.node.inputs[0]!;
  if (sum.node.op !== 'add' || uses(sum) > 1) return undefined;
  const [folded, unfolded] = [dimsOf(v)!, dimsOf(sum)!];
  if (unfolded.length !== folded.length + 1 || !sameDims(unfolded.slice(2), folded.slice(1))) return undefined;
  const [a, b] = sum.node.inputs as [Value, Value];
  const isScores = (x: Value): boolean =>
    x.node.op === 'reshape' && sameDims(dimsOf(x), unfolded) && sameDims(dimsOf(x.node.inputs[0]), folded);
  const scores = isScores(a) ? a : isScores(b) ? b : undefined;
  if (!scores || uses(scores) > 1) return undefined;
  const mask = scores === a ? b : a;
  const dims = dimsOf(mask)!;
  // All groups have the same masks, as many as the build knows.
  if (dims.length < unfolded.length - 1 || (dims.length === unfolded.length && dims[0] !== 1)) return undefined;
  const shared = dims.slice(dims.length === unfolded.length ? 1 : 0);
  if (shared[0] !== 1 && (typeof shared[0] !== 'number' || shared[0] !== unfolded[1])) return undefined;
  return {
    scores: scores.node.inputs[0]!,
    mask: shared.length === dims.length ? mask : builder.op('reshape', [mask], { dims: shared }),
  };
}

function leadsToDot(v: Value): boolean {
  let at: Value | undefined = v;
  for (let i = 0; i < maxDepth && at; i++) {
    if (at.node.op === 'dot') return true;
    if (!['add', 'mul', 'div', 'where'].includes(at.node.op)) return false;
    at =
      at.node.op === 'where'
        ? at.node.inputs[1]
        : (at.node.inputs as Value[]).find(
            (x) => x.node.op === 'dot' || ['add', 'mul', 'div', 'where'].includes(x.node.op),
          );
  }
  return false;
}

/** The operand with its axes in this order of labels, a missing batch label as an extent of 1. */
function arrange(builder: GraphBuilder, v: Value, labels: string, order: readonly string[], batchRank: number): Value {
  const perm = order.map((l) => labels.indexOf(l));
  const moved = perm.every((p, i) => p === i) ? v : builder.op('transpose', [v], { perm });
  if (batchRank === 2) return moved;
  const dims = dimsOf(moved)!;
  const lead: Dim[] = batchRank === 1 ? [dims[0]!, 1] : [1, 1];
  return builder.op('reshape', [moved], { dims: [...lead, ...dims.slice(batchRank)] });
}

/** The softmax behind `v`, also where rows without any allowed key (NaN) are set to zero: attention does the same. */
function probabilitiesOf(v: Value, uses: (v: Value) => number): Value | undefined {
  if (v.node.op === 'softmax') return uses(v) === 1 ? v : undefined;
  if (v.node.op !== 'where' || uses(v) !== 1) return undefined;
  const [condition, zero, p] = v.node.inputs as [Value, Value, Value];
  const guarded = condition.node.op === 'isNaN' && condition.node.inputs[0] === p && uniformValue(zero) === 0;
  return guarded && p.node.op === 'softmax' && uses(p) === 2 && uses(condition) === 1 ? p : undefined;
}

function fused(node: Node, { builder, uses }: RewriteContext): Value | undefined {
  const v = node.inputs[1]!;
  const probabilities = probabilitiesOf(node.inputs[0]!, uses);
  if (!probabilities) return undefined;
  const rank = dimsOf(probabilities)!.length;
  const axis = probabilities.node.attributes['axis'] as number;
  if ((axis < 0 ? axis + rank : axis) !== rank - 1 || rank < 2 || rank > 4) return undefined;
  const scores = scoresOf(probabilities.node.inputs[0]!, builder, uses);
  if (!scores || uses(scores.product) > 1 || !['float32', 'float16', 'bfloat16'].includes(typeOf(v).dtype))
    return undefined;

  const first = labelsOf(scores.product);
  const second = labelsOf(node.outputs[0]!);
  const qk = dotRoles(first.lhs, first.rhs, first.out);
  const pv = dotRoles(second.lhs, second.rhs, second.out);
  const batchRank = rank - 2;
  const sound =
    qk.batch.length === batchRank &&
    qk.rows.length === 1 &&
    qk.columns.length === 1 &&
    qk.contracted.length === 1 &&
    first.out === [...qk.batch, ...qk.rows, ...qk.columns].join('') &&
    pv.batch.length === batchRank &&
    pv.rows.length === 1 &&
    pv.columns.length === 1 &&
    pv.contracted.length === 1 &&
    second.lhs === [...pv.batch, ...pv.rows, ...pv.contracted].join('');
  if (!sound) return undefined;

  const inTurn = scores.turns.length > 0;
  // What each batch has of its own does not fit masks that take turns, nor do turns of different lengths each other.
  const own = scores.masks.some((m) => dimsOf(m)!.length === rank && dimsOf(m)![0] !== 1);
  const lengths = new Set(scores.turns.map((m) => dimsOf(m)![0]).filter((length) => length !== 1));
  if (inTurn && (own || batchRank === 0 || lengths.size > 1)) return undefined;

  const [queries, keys] = scores.product.node.inputs as [Value, Value];
  const q = arrange(builder, queries, first.lhs, [...qk.batch, ...qk.rows, ...qk.contracted], batchRank);
  const k = arrange(builder, keys, first.rhs, [...qk.batch, ...qk.columns, ...qk.contracted], batchRank);
  const w = arrange(builder, v, second.rhs, [...pv.batch, ...pv.contracted, ...pv.columns], batchRank);
  const masks = [...scores.masks, ...scores.turns];
  const sum = masks.length === 0 ? undefined : masks.reduce((a, b) => builder.op('add', [a, b]));
  const mask = sum && overKeys(builder, sum, dimsOf(probabilities)!.at(-1)!);
  if (sum && !mask) return undefined;
  const y = builder.op('attention', [q, k, w, mask && alignMask(builder, mask, batchRank)], {
    scale: scores.scale,
    masksInTurn: inTurn,
  });
  const flat =
    batchRank === 2
      ? y
      : builder.op('reshape', [y], { dims: [...dimsOf(y)!.slice(0, batchRank), ...dimsOf(y)!.slice(2)] });
  const produced = [...pv.batch, ...pv.rows, ...pv.columns];
  const perm = [...second.out].map((l) => produced.indexOf(l));
  return perm.every((p, i) => p === i) ? flat : builder.op('transpose', [flat], { perm });
}

const attention: Rule = {
  name: 'dot(softmax(dot(q, k)·c + m), v) ⇒ attention(q, k, v, m), in turn where m is of folded batches',
  roots: ['dot'],
  apply: fused,
  example: (b) => {
    const q = b.input('q', tensorType('float32', [6, 2, 5, 4]));
    const k = b.input('k', tensorType('float32', [6, 2, 5, 4]));
    const m = b.input('m', tensorType('float32', [1, 3, 1, 5, 5]));
    const bias = b.input('bias', tensorType('float32', [1, 2, 5, 5]));
    const product = b.op('dot', [q, k], { lhs: 'bhld', rhs: 'bhsd', out: 'bhls' });
    const weighted = (scores: Value): Value =>
      b.op('dot', [b.op('softmax', [scores], { axis: -1 }), k], { lhs: 'bhls', rhs: 'bhsd', out: 'bhld' });
    const plain = b.op('add', [b.op('mul', [product, b.scalar(0.5, 'float32')]), bias]);
    const other = b.op('dot', [k, q], { lhs: 'bhld', rhs: 'bhsd', out: 'bhls' });
    const apart = b.op('reshape', [b.op('add', [other, bias])], { dims: [2, 3, 2, 5, 5] });
    const folded = b.op('reshape', [b.op('add', [apart, m])], { dims: [6, 2, 5, 5] });
    return { inputs: [q, k, m, bias], outputs: [weighted(plain), weighted(folded)] };
  },
};

const scaledOperand: Rule = {
  name: 'attention(q·c, k) ⇒ attention(q, k) with scale·c, and so for k',
  roots: ['attention'],
  apply(node, { builder }) {
    for (const i of [0, 1]) {
      const found = unscale(node.inputs[i]!, builder);
      if (!found) continue;
      const size = dimsOf(node.inputs[0])!.at(-1);
      const scale =
        (node.attributes['scale'] as number | undefined) ??
        (typeof size === 'number' ? 1 / Math.sqrt(size) : undefined);
      if (scale === undefined) continue;
      const inputs = node.inputs.map((v, k) => (k === i ? found.value : v));
      return builder.op('attention', inputs, { ...node.attributes, scale: scale * found.factor });
    }
    return undefined;
  },
  example: (b) => {
    const q = b.input('q', tensorType('float32', [1, 2, 5, 4]));
    const k = b.input('k', tensorType('float32', [1, 2, 6, 4]));
    const scaled = b.op(
      'transpose',
      [b.op('mul', [b.op('transpose', [q], { perm: [0, 1, 3, 2] }), b.scalar(0.5, 'float32')])],
      { perm: [0, 1, 3, 2] },
    );
    return { inputs: [q, k], outputs: [b.op('attention', [scaled, k, k], { scale: 0.5 })] };
  },
};

/** x·c, also through a movement that the product commutes with. */
function unscale(v: Value, builder: GraphBuilder): { value: Value; factor: number } | undefined {
  const { node } = v;
  if (node.op === 'mul' || node.op === 'div') {
    const [a, b] = node.inputs as [Value, Value];
    const right = uniformValue(b);
    const left = node.op === 'mul' ? uniformValue(a) : undefined;
    const factor = right !== undefined && node.op === 'div' ? 1 / right : (right ?? left);
    const value = right === undefined ? b : a;
    return factor !== undefined && dimsOf(value)?.length === dimsOf(v)?.length ? { value, factor } : undefined;
  }
  if (node.op === 'transpose' || node.op === 'reshape') {
    const inner = unscale(node.inputs[0]!, builder);
    return inner && { value: builder.op(node.op, [inner.value], node.attributes), factor: inner.factor };
  }
  return undefined;
}

function labelsOf(v: Value): { lhs: string; rhs: string; out: string } {
  return v.node.attributes as unknown as { lhs: string; rhs: string; out: string };
}

/** `attention` takes a mask over fewer keys for one that forbids the others; an addition broadcasts it. */
function overKeys(builder: GraphBuilder, mask: Value, keys: Dim): Value | undefined {
  const dims = dimsOf(mask)!;
  const last = dims.at(-1) ?? 1;
  if (provablyEqual(last, keys)) return mask;
  return last === 1 ? builder.op('expand', [mask], { dims: [...dims.slice(0, -1), keys] }) : undefined;
}

/** The mask against [B, H, L, S] where the scores had fewer batch axes. */
function alignMask(builder: GraphBuilder, mask: Value, batchRank: number): Value {
  const dims = dimsOf(mask)!;
  if (batchRank !== 1 || dims.length < 3) return mask;
  return builder.op('reshape', [mask], { dims: [dims[0]!, 1, dims[1]!, dims[2]!] });
}

export const fuseAttention: RulePass = rulePass('fuse-attention', 'numbers', [attention, scaledOperand]);
