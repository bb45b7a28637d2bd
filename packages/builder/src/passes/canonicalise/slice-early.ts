/** Rows that only a slice of the result needs are the only ones computed: a class token's, the last position's. */

import {
  type Dim,
  dotRoles,
  type GraphBuilder,
  type Node,
  operatorOf,
  provablyEqual,
  type Rule,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { dimsOf, ramp, sameDims } from '../rules.js';
import { chainOf, emitChain } from './movement-chain.js';
import { broadcastSlice, isKnownAlong, type Range, type Ranges, slice } from './slices.js';

type Uses = (v: Value) => number;

const norms = new Set(['layerNorm', 'rmsNorm']);

/** Linear layers, norms and attention, and maps that follow them, of which nothing but this slice is read. */
export const sliceEarly: Rule = {
  name: 'slice(f(x)) ⇒ f(slice(x)) where f computes each row alone',
  roots: ['slice', 'reshape', 'transpose'],
  apply(node, { builder, uses }) {
    const out = node.outputs[0]!;
    const chain = chainOf(out);
    const { source } = chain;
    for (let at = out; at !== source;) {
      at = at.node.inputs[0]!;
      if (uses(at) !== 1) return undefined;
    }
    if (chain.length === 0) return undefined;
    const emitted = emitChain(builder, chain, dimsOf(out)!);
    const after: Node[] = [];
    let first = emitted.node;
    while (first.inputs[0] !== source) {
      after.unshift(first);
      first = first.inputs[0]!.node;
      if (first.inputs.length === 0) return undefined;
    }
    const ranges = first.op === 'slice' ? rangesOf(first) : undefined;
    const spared = ranges && sparedBy(source, ranges, uses);
    if (!ranges || spared?.size === 0) return undefined;
    const computed = sliced(builder, source, ranges, spared!, new Map());
    return after.reduce((v, n) => builder.op(n.op, [v], n.attributes), computed);
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [2, 3, 4]));
    const w = b.constant(ramp(4, 2));
    const product = b.op('dot', [x, w], { lhs: 'abk', rhs: 'kn', out: 'abn' });
    return { inputs: [x], outputs: [slice(b, product, new Map([[1, { start: 0, size: 1, step: 1 }]]))] };
  },
};

function rangesOf(node: Node): Ranges {
  const [starts, sizes, steps] = ['starts', 'sizes', 'steps'].map((n) => node.attributes[n] as readonly Dim[]);
  const from = dimsOf(node.inputs[0])!;
  const ranges = new Map<number, Range>();
  from.forEach((d, axis) => {
    const whole = starts![axis] === 0 && steps![axis] === 1 && provablyEqual(sizes![axis]!, d);
    if (!whole) ranges.set(axis, { start: starts![axis]!, size: sizes![axis]!, step: steps![axis]! });
  });
  return ranges;
}

/**
 * Operands that are computed row by row, as their result is: none, where rows meet or the operator is another. Axes are
 * those of the result.
 */
function rowOperands(node: Node, axes: readonly number[]): readonly Value[] {
  const result = dimsOf(node.outputs[0]) ?? [];
  const rank = result.length;
  const [x] = node.inputs;
  if (norms.has(node.op)) {
    const axis = node.attributes['axis'] as number;
    return axes.every((a) => a < (axis < 0 ? axis + rank : axis)) ? [x!] : [];
  }
  if (node.op === 'dot') {
    const { lhs, rhs, out } = node.attributes as unknown as Record<'lhs' | 'rhs' | 'out', string>;
    const { rows } = dotRoles(lhs, rhs, out);
    const kept = axes.every((a) => rows.includes(out[a]!) && lhs[a] === out[a]);
    return kept && node.inputs[1]!.node.op === 'constant' ? [x!] : [];
  }
  if (node.op === 'attention') {
    const { isCausal, leftWindow, rightWindow } = node.attributes;
    const everywhere = isCausal !== true && leftWindow === -1 && rightWindow === -1;
    const mask = node.inputs[3];
    return everywhere && axes.every((a) => a === 2) && (!mask || isKnownAlong(mask, axes, result)) ? [x!] : [];
  }
  if (operatorOf(node.op).kind !== 'map') return [];
  const operands = node.inputs.filter((v) => v !== undefined);
  // Rows that the run may turn out to repeat cannot be cut.
  return operands.every((v) => isKnownAlong(v, axes, result))
    ? operands.filter((v) => sameDims(dimsOf(v), result))
    : [];
}

/**
 * What is computed for nothing but the slice of `source`, back to where rows meet. Empty where that would spare no more
 * than maps: they would only lose their place in the kernel that computes their operand.
 */
function sparedBy(source: Value, ranges: Ranges, uses: Uses): ReadonlySet<Value> {
  const axes = [...ranges.keys()];
  const spared = new Set<Value>();
  const readers = new Map<Value, number>();
  const queue = [source];
  for (let v = queue.pop(); v; v = queue.pop()) {
    const { node } = v;
    const operands = new Set(rowOperands(node, axes));
    if (operands.size === 0 || node.outputs.some((o) => o !== v && uses(o) > 0)) continue;
    spared.add(v);
    for (const x of operands) {
      const count = (readers.get(x) ?? 0) + 1;
      readers.set(x, count);
      if (count === uses(x)) queue.push(x);
    }
  }
  return [...spared].some((v) => operatorOf(v.node.op).kind !== 'map') ? spared : new Set();
}

/** `v` of these rows, computed from as few rows as can be. */
function sliced(
  builder: GraphBuilder,
  v: Value,
  ranges: Ranges,
  spared: ReadonlySet<Value>,
  done: Map<Value, Value>,
): Value {
  const known = done.get(v);
  if (known) return known;
  let made: Value;
  const { origin } = builder;
  if (spared.has(v)) {
    const { node } = v;
    const rank = dimsOf(v)!.length;
    const isMap = operatorOf(node.op).kind === 'map';
    const inputs = node.inputs.map((x, i) => {
      const byRows = x && (isMap ? sameDims(dimsOf(x), dimsOf(v)) : i === 0);
      if (byRows) return sliced(builder, x, ranges, spared, done);
      const alongRows = isMap || (node.op === 'attention' && i === 3);
      return x && alongRows ? broadcastSlice(builder, x, ranges, rank) : x;
    });
    builder.origin = builder.provenance.of(node);
    made = builder.node(node.op, inputs, node.attributes)[v.index]!;
  } else {
    made = slice(builder, v, ranges);
  }
  builder.origin = origin;
  done.set(v, made);
  return made;
}
