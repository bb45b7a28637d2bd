/**
 * A chain of reshapes, transposes and slices as one statement: the axes of its source, cut where a reshape cuts them,
 * and which of these pieces make up each axis of the result. What one reshape merges and a later one cuts again is then
 * seen to be no merge at all, so that a permuted view stays a view.
 */

import {
  addDims,
  type Dim,
  exactQuotient,
  type GraphBuilder,
  mulDims,
  type Node,
  productOf,
  provablyEqual,
  type Rule,
  type Value,
} from '@tensorwright/core';
import { dimsOf, sameDims, unaryExample } from '../rules.js';

/** A piece of an axis of the source, or the whole of it. */
interface Piece {
  /** Axis of the source. */
  readonly axis: number;
  /** Before slicing. */
  readonly whole: Dim;
  readonly start: Dim;
  readonly step: Dim;
  readonly extent: Dim;
}

export interface MovementChain {
  readonly source: Value;
  /** In the source's order; axes of extent 1 have none. */
  readonly pieces: readonly Piece[];
  /** For each axis of the result its pieces, outermost first, without those of extent 1. */
  readonly axes: readonly (readonly Piece[])[];
  /** Nodes between the source and the result. */
  readonly length: number;
}

const movements: ReadonlySet<string> = new Set(['reshape', 'transpose', 'slice']);

/** The longest chain that ends in `v`; of length 0 where `v` is none of these movements. */
export function chainOf(v: Value, through: ReadonlySet<string> = movements): MovementChain {
  const nodes: Node[] = [];
  let at = v;
  while (through.has(at.node.op) && dimsOf(at) && dimsOf(at.node.inputs[0])) {
    nodes.push(at.node);
    at = at.node.inputs[0]!;
  }
  // Where a part of the way cannot be said in pieces, the rest begins after it.
  let chain = identity(at);
  for (const node of nodes.reverse())
    chain = extended(chain, node) ?? extended(identity(node.inputs[0]!), node) ?? identity(node.outputs[0]!);
  return chain;
}

function identity(source: Value): MovementChain {
  const pieces: Piece[] = [];
  const axes = (dimsOf(source) ?? []).map((d, axis): Piece[] => {
    if (d === 1) return [];
    const piece = { axis, whole: d, start: 0, step: 1, extent: d };
    pieces.push(piece);
    return [piece];
  });
  return { source, pieces, axes, length: 0 };
}

function extended(chain: MovementChain, node: Node): MovementChain | undefined {
  const moved = move(chain, node);
  return moved && { ...moved, length: chain.length + 1 };
}

function move(chain: MovementChain, node: Node): MovementChain | undefined {
  switch (node.op) {
    case 'transpose':
      return { ...chain, axes: (node.attributes['perm'] as readonly number[]).map((p) => chain.axes[p]!) };
    case 'slice':
      return slice(chain, node);
    default:
      return reshape(chain, dimsOf(node.outputs[0])!);
  }
}

function slice(chain: MovementChain, node: Node): MovementChain | undefined {
  const from = dimsOf(node.inputs[0])!;
  const starts = node.attributes['starts'] as readonly Dim[];
  const steps = node.attributes['steps'] as readonly Dim[];
  const sizes = dimsOf(node.outputs[0])!;
  const replaced = new Map<Piece, Piece>();
  for (const [i, pieces] of chain.axes.entries()) {
    if (starts[i] === 0 && steps[i] === 1 && provablyEqual(sizes[i]!, from[i]!)) continue;
    const [piece] = pieces;
    if (!piece || pieces.length > 1) return undefined;
    replaced.set(piece, {
      ...piece,
      start: addDims(piece.start, mulDims(starts[i]!, piece.step)),
      step: mulDims(piece.step, steps[i]!),
      extent: sizes[i]!,
    });
  }
  const pieces = chain.pieces.map((p) => replaced.get(p) ?? p);
  const axes = chain.axes.map((axis) => axis.map((p) => replaced.get(p) ?? p).filter((p) => p.extent !== 1));
  return { ...chain, pieces, axes };
}

function reshape(chain: MovementChain, dims: readonly Dim[]): MovementChain | undefined {
  let { pieces } = chain;
  const flat = chain.axes.flat();
  const axes: Piece[][] = [];
  for (const extent of dims) {
    const axis: Piece[] = [];
    let rest = extent;
    while (!provablyEqual(rest, 1)) {
      const next = flat.shift();
      if (!next) return undefined;
      const remaining = exactQuotient(rest, next.extent);
      if (remaining !== undefined) {
        axis.push(next);
        rest = remaining;
        continue;
      }
      const inner = exactQuotient(next.extent, rest);
      if (inner === undefined || isSliced(next)) return undefined;
      const [high, low] = [rest, inner].map((d) => ({ ...next, whole: d, extent: d })) as [Piece, Piece];
      pieces = pieces.flatMap((p) => (p === next ? [high, low] : [p]));
      axis.push(high);
      flat.unshift(low);
      rest = 1;
    }
    axes.push(axis);
  }
  return flat.length === 0 ? { ...chain, pieces, axes } : undefined;
}

export function isSliced({ whole, start, step, extent }: Piece): boolean {
  return start !== 0 || step !== 1 || !provablyEqual(whole, extent);
}

/** The chain as few movements: slice, transpose and reshape, with a reshape before them where axes must be cut. */
export function emitChain(builder: GraphBuilder, chain: MovementChain, dims: readonly Dim[]): Value {
  const flat = chain.axes.flat();
  let runs = runsOf(chain, flat, true);
  let at = chain.source;
  // Axes of what is sliced and transposed, by run.
  let places = runs.map((r) => r[0]!.axis);
  if (new Set(places).size < places.length) {
    runs = runsOf(chain, flat, false);
    places = runs.map((_, i) => i);
    at = builder.op('reshape', [at], { dims: runs.map((r) => productOf(r.map((p) => p.whole))) });
  }
  const from = dimsOf(at)!;
  const sliced = from.map((_, axis) => runs[places.indexOf(axis)]?.find(isSliced));
  if (sliced.some((p) => p !== undefined)) {
    at = builder.op('slice', [at], {
      starts: sliced.map((p) => p?.start ?? 0),
      sizes: sliced.map((p, axis) => p?.extent ?? from[axis]!),
      steps: sliced.map((p) => p?.step ?? 1),
    });
  }
  const kept = flat.flatMap((p) => places[runs.findIndex((r) => r[0] === p)] ?? []);
  const ones = from.map((_, axis) => axis).filter((axis) => !kept.includes(axis));
  if (kept.some((axis, i) => i > 0 && axis < kept[i - 1]!))
    at = builder.op('transpose', [at], { perm: [...ones, ...kept] });
  return sameDims(dimsOf(at), dims) ? at : builder.op('reshape', [at], { dims });
}

/** Pieces in the source's order, those that stay neighbours together; across the source's axes only where asked. */
function runsOf(chain: MovementChain, flat: readonly Piece[], withinAxes: boolean): Piece[][] {
  const runs: Piece[][] = [];
  for (const [i, piece] of chain.pieces.entries()) {
    const before = chain.pieces[i - 1];
    const follows = before && flat.includes(before) && flat[flat.indexOf(before) + 1] === piece;
    const together = follows && !isSliced(before) && !isSliced(piece) && !(withinAxes && before.axis !== piece.axis);
    if (together) runs.at(-1)!.push(piece);
    else runs.push([piece]);
  }
  return runs;
}

export const shorterChain: Rule = {
  name: 'reshapes, transposes and slices in a chain ⇒ one of each, where that is fewer',
  roots: ['reshape', 'transpose', 'slice'],
  apply(node, { builder }) {
    const out = node.outputs[0]!;
    const chain = chainOf(out);
    if (chain.length < 2) return undefined;
    const emitted = emitChain(builder, chain, dimsOf(out)!);
    let length = 0;
    for (let at = emitted; at !== chain.source; at = at.node.inputs[0]!) length++;
    return length < chain.length ? emitted : undefined;
  },
  example: (b) =>
    unaryExample(b, [5, 2, 12], (x) => {
      // Heads merged with the batch and split from it again.
      const merged = b.op('transpose', [b.op('reshape', [x], { dims: [5, 6, 4] })], { perm: [1, 0, 2] });
      const split = b.op('reshape', [merged], { dims: [2, 3, 5, 4] });
      return b.op('transpose', [split], { perm: [0, 1, 3, 2] });
    }),
};
