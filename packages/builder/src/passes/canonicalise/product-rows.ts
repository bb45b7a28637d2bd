/** Products and the movement of their rows: rows stay as the operand has them, and what moves them comes after. */

import {
  addDims,
  type Dim,
  dotRoles,
  type GraphBuilder,
  type Node,
  type OperatorKind,
  operatorOf,
  provablyEqual,
  type Rule,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { axisOrder, denseView, moveView } from '../../plan/view.js';
import { dimsOf, ramp, sameDims, through } from '../rules.js';
import { chainOf, isSliced, type MovementChain } from './movement-chain.js';
import { broadcastSlice } from './slices.js';

const rearrangements = new Set(['reshape', 'transpose']);
const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode('a'.charCodeAt(0) + i));

/**
 * Linear layers of models with the sequence first multiply transposed tensors, and their results are transposed back:
 * with the rows in the operand's order both transposes meet. Flattened rows ('Gemm') are the same case.
 */
export const rowsAsTheyLie: Rule = {
  name: 'dot(move(x), w) ⇒ move(dot(x, w)) where the rows of x are moved',
  roots: ['dot'],
  apply(node, { builder }) {
    const [moved, weights] = node.inputs as [Value, Value];
    const { lhs, rhs, out } = node.attributes as unknown as Record<'lhs' | 'rhs' | 'out', string>;
    const roles = dotRoles(lhs, rhs, out);
    if (weights.node.op !== 'constant' || roles.batch.length > 0 || roles.contracted.length !== 1) return undefined;
    const rows = roles.rows.join('');
    const columns = roles.columns.join('');
    if (lhs !== `${rows}${roles.contracted[0]!}` || out !== `${rows}${columns}`) return undefined;
    const chain = chainOf(moved, rearrangements);
    const plain = chain.length > 0 && rowsOf(chain);
    if (!plain) return undefined;

    const from = dimsOf(chain.source)!;
    const { contracted, inOrder, perm } = plain;
    const arranged = perm.every((p, i) => p === i)
      ? chain.source
      : builder.op('transpose', [chain.source], { perm: [...perm] });
    const x =
      contracted.length === 1
        ? arranged
        : builder.op('reshape', [arranged], { dims: [...plain.rows.map((r) => from[r]!), dimsOf(moved)!.at(-1)!] });
    const names = letters
      .filter((l) => !rhs.includes(l))
      .slice(0, plain.rows.length)
      .join('');
    if (names.length < plain.rows.length) return undefined;
    const product = builder.op('dot', [x, weights], {
      lhs: `${names}${roles.contracted[0]!}`,
      rhs,
      out: `${names}${columns}`,
    });
    const tail = Array.from({ length: columns.length }, (_, i) => plain.rows.length + i);
    const ordered = inOrder.map((axis) => plain.rows.indexOf(axis));
    const ones = plain.rows.map((_, i) => i).filter((i) => !ordered.includes(i));
    const back = [...ones, ...ordered, ...tail];
    const turned = back.every((p, i) => p === i) ? product : builder.op('transpose', [product], { perm: back });
    return builder.op('reshape', [turned], { dims: dimsOf(node.outputs[0])! });
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [2, 3, 4]));
    const swapped = b.op('transpose', [x], { perm: [1, 0, 2] });
    const w = b.constant(ramp(4, 5));
    const flat = b.op('reshape', [swapped], { dims: [6, 4] });
    return { inputs: [x], outputs: [b.op('dot', [flat, w], { lhs: 'mk', rhs: 'kn', out: 'mn' })] };
  },
};

/**
 * Axes of the source: its rows in its own order, the contracted ones, rows in the order in which they are wanted, and
 * the permutation that brings the contracted ones to the end. undefined where axes are cut, or nothing would be won.
 */
function rowsOf(chain: MovementChain):
  | {
      readonly rows: readonly number[];
      readonly contracted: readonly number[];
      readonly inOrder: readonly number[];
      readonly perm: readonly number[];
    }
  | undefined {
  const from = dimsOf(chain.source)!;
  const whole = chain.pieces.every((p) => !isSliced(p) && provablyEqual(p.whole, from[p.axis]!));
  const contracted = chain.axes.at(-1)!.map((p) => p.axis);
  if (!whole || contracted.length === 0) return undefined;
  const rows = from.map((_, axis) => axis).filter((axis) => !contracted.includes(axis));
  const inOrder = chain.axes.slice(0, -1).flatMap((axis) => axis.map((p) => p.axis));
  const turned = inOrder.some((axis, i) => i > 0 && axis < inOrder[i - 1]!);
  const flattened = chain.length === 1 && contracted.length === 1 && contracted[0] === from.length - 1;
  return turned || flattened ? { rows, contracted, inOrder, perm: [...rows, ...contracted] } : undefined;
}

/** A product itself, turned or not, or maps that read nothing but it. */
export function leadsFromProduct(v: Value, uses: (v: Value) => number): boolean {
  return leadsFrom('contraction', v, uses);
}

function leadsFrom(kind: OperatorKind, v: Value, uses: (v: Value) => number): boolean {
  let at: Value | undefined = v;
  for (let depth = 0; at && depth < 32; depth++) {
    if (operatorOf(at.node.op).kind === kind) return true;
    if (at.node.op === 'transpose' && uses(at) === 1) {
      at = at.node.inputs[0];
      continue;
    }
    if (operatorOf(at.node.op).kind !== 'map' || uses(at) > 2) return false;
    at = at.node.inputs.find(
      (i) => i && sameDims(dimsOf(i), dimsOf(at)) && i.node.op !== 'input' && i.node.op !== 'reshape',
    );
  }
  return false;
}

/** Which operand of a map is a product that this movement alone brings into the map's extents; -1: none. */
export function movedProduct(movement: string, map: Node, uses: (v: Value) => number): number {
  return map.inputs.findIndex(
    (v) =>
      v?.node.op === movement &&
      uses(v) === 1 &&
      uses(v.node.inputs[0]!) === 1 &&
      leadsFromProduct(v.node.inputs[0]!, uses) &&
      sameDims(dimsOf(v), dimsOf(map.outputs[0])),
  );
}

/** The same of a product whose axes were cut, turned and merged, which no view can say: windows of an image, say. */
export function windowedProduct(map: Node, uses: (v: Value) => number): number {
  return map.inputs.findIndex((v) => {
    const turned = through(v, 'reshape');
    const cut = through(turned, 'transpose');
    const product = through(cut, 'reshape');
    if (!v || !turned || !cut || !product || ![v, turned, cut, product].every((u) => uses(u) === 1)) return false;
    const [dims, merged] = [dimsOf(cut)!, dimsOf(v)!];
    const dense = denseView(dims, axisOrder('rows', dims.length));
    const view = moveView('transpose', turned.node.attributes, dense, dimsOf(turned)!);
    const copied = view && moveView('reshape', {}, view, merged) === undefined;
    return copied === true && leadsFromProduct(product, uses) && sameDims(merged, dimsOf(map.outputs[0]));
  });
}

export const transposeAfterMap: Rule = {
  name: 'map(transpose(dot), y) ⇒ transpose(map(dot, transpose⁻¹(y))): the map joins the product',
  roots: undefined,
  apply(node, { builder, uses }) {
    if (operatorOf(node.op).kind !== 'map') return undefined;
    const out = dimsOf(node.outputs[0]);
    const at = movedProduct('transpose', node, uses);
    if (at < 0 || !out) return undefined;
    const { inputs: moved, attributes } = node.inputs[at]!.node;
    const perm = attributes['perm'] as readonly number[];
    const inputs: (Value | undefined)[] = [];
    for (const [i, v] of node.inputs.entries()) {
      const back = i === at ? moved[0] : v && turnedBack(builder, v, perm);
      if (v && !back) return undefined;
      inputs.push(back);
    }
    return builder.op('transpose', [builder.op(node.op, inputs, node.attributes)], { perm });
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [2, 3, 4]));
    const product = b.op('dot', [x, b.constant(ramp(4, 5))], { lhs: 'abk', rhs: 'kn', out: 'abn' });
    const turned = b.op('transpose', [product], { perm: [1, 0, 2] });
    return { inputs: [x], outputs: [b.op('add', [turned, b.constant(ramp(5))])] };
  },
};

export const mapBeforeConcat: Rule = {
  name: 'map(concat(a, x), c) ⇒ concat(map(a, c₁), map(x, c₂)) where a and c are constants',
  roots: undefined,
  apply(node, { builder, uses }) {
    if (operatorOf(node.op).kind !== 'map') return undefined;
    const out = dimsOf(node.outputs[0]);
    const at = node.inputs.findIndex((v) => v?.node.op === 'concat' && sameDims(dimsOf(v), out));
    const concat = node.inputs[at];
    if (!concat || !out || uses(concat) !== 1) return undefined;
    const parts = concat.node.inputs as readonly Value[];
    const isConstant = (v: Value | undefined): boolean =>
      (v?.node.op === 'expand' ? v.node.inputs[0] : v)?.node.op === 'constant';
    if (parts.filter((v) => !isConstant(v)).length !== 1) return undefined;
    if (!node.inputs.every((v, i) => i === at || isConstant(v))) return undefined;
    const axis = concat.node.attributes['axis'] as number;
    let start: Dim = 0;
    const mapped = parts.map((part) => {
      const extent = dimsOf(part)![axis]!;
      const ranges = new Map([[axis, { start, size: extent, step: 1 }]]);
      const inputs = node.inputs.map((v, i) => (i === at ? part : v && broadcastSlice(builder, v, ranges, out.length)));
      start = addDims(start, extent);
      return builder.op(node.op, inputs, node.attributes);
    });
    return builder.op('concat', mapped, { axis });
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [2, 3]));
    const concat = b.op('concat', [b.constant(ramp(1, 3)), x], { axis: 0 });
    return { inputs: [x], outputs: [b.op('add', [concat, b.constant(ramp(3, 3))])] };
  },
};

export const castBeforeMovement: Rule = {
  name: 'cast(move(x)) ⇒ move(cast(x)) where x is a reduction, whose kernel casts, or is expanded',
  roots: ['cast'],
  apply(node, { builder, uses }) {
    const moved = node.inputs[0]!;
    const x = moved.node.inputs[0];
    const repeats = moved.node.op === 'expand';
    const reduced =
      rearrangements.has(moved.node.op) && uses(moved) === 1 && uses(x!) === 1 && leadsFrom('reduce', x!, uses);
    if (!repeats && !reduced) return undefined;
    return builder.op(moved.node.op, [builder.op('cast', [x], node.attributes)], moved.node.attributes);
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [2, 3, 4]));
    const sums = b.op('reduce', [x], { monoid: 'sum', axes: [2], keepdims: false });
    return { inputs: [x], outputs: [b.op('cast', [b.op('reshape', [sums], { dims: [6] })], { to: 'float64' })] };
  },
};

/** An operand of a map over axes in the order `perm`, over them as they were; undefined where that would move data. */
function turnedBack(builder: GraphBuilder, v: Value, perm: readonly number[]): Value | undefined {
  const own = dimsOf(v);
  if (!own) return undefined;
  const last = perm.length - 1;
  if (own.every((d) => d === 1) || (own.length === 1 && perm[last] === last)) return v;
  const inverse = perm.map((_, axis) => perm.indexOf(axis));
  const sameTurn = v.node.op === 'transpose' && (v.node.attributes['perm'] as number[]).every((p, i) => p === perm[i]);
  const isView = sameTurn || (bringsChannelsFirst(perm) && isImage(v, perm.length));
  if (v.node.op !== 'constant' && !isView) return undefined;
  const lead: Dim[] = Array.from({ length: perm.length - own.length }, () => 1);
  const padded = lead.length > 0 ? builder.op('reshape', [v], { dims: [...lead, ...own] }) : v;
  return builder.op('transpose', [padded], { perm: inverse });
}

/** From channels last to the order in which images are named. */
function bringsChannelsFirst(perm: readonly number[]): boolean {
  const last = perm.length - 1;
  return perm.length > 2 && perm.every((p, axis) => p === (axis === 0 ? 0 : axis === 1 ? last : axis - 1));
}

/** What a convolution computes, and maps make of it: memory may have its channels last, so that turning it is a view. */
function isImage(v: Value, rank: number): boolean {
  let at: Value | undefined = v;
  for (let depth = 0; at && dimsOf(at)?.length === rank && depth < 32; depth++) {
    if (at.node.op === 'conv') return true;
    if (operatorOf(at.node.op).kind !== 'map') return false;
    at = at.node.inputs.find((i) => i?.node.op !== 'input' && sameDims(dimsOf(i), dimsOf(at)));
  }
  return false;
}
