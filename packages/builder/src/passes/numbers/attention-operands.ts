/** What attention reads: masks as they were meant, and key heads once. */

import {
  constantOf,
  type Dim,
  type GraphBuilder,
  mulDims,
  provablyEqual,
  readNumbers,
  type Rule,
  scalarConstant,
  scalarTensor,
  Tensor,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { uniformValue } from '../canonicalise/map-algebra.js';
import { dimsOf, sameDims, through, typeOf } from '../rules.js';

export const booleanMask: Rule = {
  name: 'attention(q, k, v, where(c, 0, −∞)) ⇒ attention(q, k, v, c)',
  roots: ['attention'],
  apply(node, { builder }) {
    const mask = node.inputs[3];
    const choice = through(mask, 'cast') ?? mask;
    if (!mask || choice?.node.op !== 'where') return undefined;
    const [allowed, yes, no] = choice.node.inputs as [Value, Value, Value];
    const fill = uniformValue(no);
    // In 16 bits the lowest float32 is an infinity.
    const rounded = fill === undefined ? undefined : scalarConstant(scalarTensor(fill, typeOf(mask).dtype));
    if (uniformValue(yes) !== 0 || rounded !== -Infinity) return undefined;
    const dims = dimsOf(mask)!;
    const spread = sameDims(dimsOf(allowed), dims) ? allowed : builder.op('expand', [allowed], { dims });
    return builder.op('attention', [...node.inputs.slice(0, 3), spread, ...node.inputs.slice(4)], node.attributes);
  },
  example: (b) => {
    const q = b.input('q', tensorType('float32', [1, 2, 5, 4]));
    const m = b.input('m', tensorType('float32', [1, 1, 5, 1]));
    const allowed = b.op('less', [m, b.constant(new Tensor('float32', [-2, 0, 0.5, -2, 2], [5]))]);
    const mask = b.op('where', [allowed, b.scalar(0, 'float32'), b.scalar(-Infinity, 'float32')]);
    return { inputs: [q, m], outputs: [b.op('attention', [q, q, q, mask])] };
  },
};

export const sharedKeyHeads: Rule = {
  name: 'attention(q, repeat(k), repeat(v)) ⇒ attention(q, k, v) with fewer key heads',
  roots: ['attention'],
  apply(node, { builder }) {
    const [q, k, v] = node.inputs as [Value, Value, Value];
    const [key, value] = [unrepeated(builder, k), unrepeated(builder, v)];
    if (!key || !value || !provablyEqual(dimsOf(key)![1]!, dimsOf(value)![1]!)) return undefined;
    return builder.op('attention', [q, key, value, ...node.inputs.slice(3)], node.attributes);
  },
  example: (b) => {
    const q = b.input('q', tensorType('float32', [1, 6, 5, 4]));
    const k = b.input('k', tensorType('float32', [1, 2, 5, 4]));
    const apart = b.op('reshape', [k], { dims: [1, 2, 1, 5, 4] });
    const repeated = b.op('reshape', [b.op('expand', [apart], { dims: [1, 2, 3, 5, 4] })], { dims: [1, 6, 5, 4] });
    return { inputs: [q, k], outputs: [b.op('attention', [q, repeated, repeated])] };
  },
};

/** The heads of which each is there several times in a row, once. */
function unrepeated(builder: GraphBuilder, v: Value): Value | undefined {
  const repeated = v.node.op === 'reshape' ? v.node.inputs[0]! : undefined;
  if (repeated?.node.op !== 'expand') return undefined;
  const once = repeated.node.inputs[0]!;
  const [from, wide, to] = [dimsOf(once), dimsOf(repeated), dimsOf(v)];
  if (from?.length !== 5 || wide?.length !== 5 || to?.length !== 4 || from[2] !== 1) return undefined;
  const others = [0, 1, 3, 4];
  const merged: Dim[] = [wide[0]!, mulDims(wide[1]!, wide[2]!), wide[3]!, wide[4]!];
  if (!others.every((i) => provablyEqual(from[i]!, wide[i]!)) || !sameDims(merged, to)) return undefined;
  return builder.op('reshape', [once], { dims: others.map((i) => from[i]!) });
}

export const causalMask: Rule = {
  name: 'attention(q, k, v, causal ∧ m) ⇒ attention(q, k, v, m), causal',
  roots: ['attention'],
  apply(node, { builder }) {
    const mask = node.inputs[3];
    const { isCausal, causalOffset } = node.attributes;
    if (!mask || node.inputs[5] || (isCausal === true && causalOffset !== 0)) return undefined;
    const parts = mask.node.op === 'and' ? (mask.node.inputs as [Value, Value]) : [mask];
    const causal = parts.find((v) => isTriangle(v, dimsOf(node.inputs[0])![2]!));
    if (!causal) return undefined;
    const rest = parts.find((v) => v !== causal);
    const keys = dimsOf(mask)!.at(-1)!;
    // A mask over fewer keys than there are would forbid the others.
    if (!provablyEqual(keys, dimsOf(node.inputs[1])![2]!) || (rest && dimsOf(rest)?.at(-1) !== keys)) return undefined;
    const inputs = [...node.inputs.slice(0, 3), rest, ...node.inputs.slice(4)];
    return builder.op('attention', inputs, { ...node.attributes, isCausal: true, causalOffset: 0 });
  },
  example: (b) => {
    const q = b.input('q', tensorType('float32', [1, 2, 3, 4]));
    const m = b.input('m', tensorType('float32', [1, 1, 1, 3]));
    const causal = b.constant(new Tensor('bool', [1, 0, 0, 1, 1, 0, 1, 1, 1], [1, 1, 3, 3]));
    const mask = b.op('and', [causal, b.op('less', [m, b.scalar(0.5, 'float32')])]);
    return { inputs: [q, m], outputs: [b.op('attention', [q, q, q, mask])] };
  },
};

/** A constant that lets each of these queries see the keys up to its own position. */
function isTriangle(v: Value, queries: Dim): boolean {
  const mask = constantOf(v);
  if (mask?.dtype !== 'bool') return false;
  const keys = mask.dims.at(-1) ?? 0;
  const square = mask.dims.at(-2) === keys && mask.size === keys * keys && queries === keys;
  return square && readNumbers(mask).every((yes, i) => (yes !== 0) === i % keys <= Math.floor(i / keys));
}
