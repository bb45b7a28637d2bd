/**
 * Layouts as a labelling of the nodes: each takes one of the layouts its tactics offer. Contractions fix theirs;
 * what does not care follows its neighbours, so that few bytes are ever reordered. What a layout's tactics are foreseen to
 * take longer than those of another counts as the bytes that could be reordered meanwhile.
 */

import {
  byteLength,
  type Candidate,
  dimBounds,
  type Graph,
  type Layout,
  type Node,
  productOf,
  topologicalOrder,
  usersOf,
  type Value,
} from '@tensorwright/core';
import { axisOrder, denseView, isDense, moveView, type View, viewMovements } from '../plan/view.js';

const maxSweeps = 8;

/** @param speedOf bytes that a node's backend reorders in a microsecond; undefined: estimates do not count */
export function chooseLayouts(
  graph: Graph,
  options: ReadonlyMap<Node, readonly Candidate[]>,
  speedOf: (node: Node) => number | undefined = () => undefined,
): Map<Node, Layout> {
  const order = topologicalOrder(graph);
  const users = usersOf(order);
  const labels = new Map<Node, Layout>();
  const outputs = new Set(graph.outputs);
  // A node that does not care starts as its first operand lies: whole chains then agree, and sweeps only mend borders.
  for (const node of order) {
    const offered = offeredLayouts(node, options);
    const inherited = node.inputs.find((v) => v !== undefined && v.node.op !== 'constant' && rankOf(v) >= 3);
    const wanted = inherited && ['rows', 'channelsLast'].find((l) => readableAs(inherited, l as Layout, labels));
    labels.set(node, offered.find((l) => l === wanted) ?? offered[0]!);
  }
  const free = order.filter((n) => offeredLayouts(n, options).length > 1);
  const sweep = (nodes: readonly Node[]): boolean => {
    let changed = false;
    for (const node of nodes) {
      const best = minBy(offeredLayouts(node, options), (layout) => cost(node, layout));
      if (best !== labels.get(node)) {
        labels.set(node, best);
        changed = true;
      }
    }
    return changed;
  };
  const cost = (node: Node, layout: Layout): number => {
    let bytes = microsecondsLost(node, layout, options) * (speedOf(node) ?? 0);
    const candidate = candidateFor(node, layout, options);
    node.inputs.forEach((v, i) => {
      if (v) bytes += reformatBytes(v, candidate?.inputs[i] ?? 'rows', layout, labels);
    });
    for (const v of node.outputs) {
      if (outputs.has(v) && layout !== 'rows') bytes += bytesOf(v);
      for (const user of users.get(v) ?? []) {
        const wants = candidateFor(user, labels.get(user)!, options);
        user.inputs.forEach((u, i) => {
          if (u === v)
            bytes += edgeBytes(v, layout, wants?.inputs[i] ?? 'rows', labels.get(user)!, user, users, labels, options);
        });
      }
    }
    return bytes;
  };
  for (let i = 0; i < maxSweeps; i++) {
    const changed = sweep(free);
    if (!sweep([...free].reverse()) && !changed) break;
  }
  return labels;
}

function offeredLayouts(node: Node, options: ReadonlyMap<Node, readonly Candidate[]>): Layout[] {
  const offered = options.get(node);
  if (!offered) return ['rows'];
  return [...new Set(offered.map((c) => c.outputs[0] ?? 'rows'))];
}

/** What the best candidate of a layout is foreseen to take beyond the best of all, as far as that is foreseen. */
function microsecondsLost(node: Node, layout: Layout, options: ReadonlyMap<Node, readonly Candidate[]>): number {
  // Estimates of libraries and plugins tell in which order to try them, not what they take.
  const foreseen = (options.get(node) ?? []).filter((c) => c.source === undefined && c.plugin === undefined);
  const best = (of: readonly Candidate[]): number => of.reduce((least, c) => Math.min(least, c.estimate), Infinity);
  const own = foreseen.filter((c) => (c.outputs[0] ?? 'rows') === layout);
  return own.length > 0 ? best(own) - best(foreseen) : 0;
}

function candidateFor(
  node: Node,
  layout: Layout,
  options: ReadonlyMap<Node, readonly Candidate[]>,
): Candidate | undefined {
  const offered = options.get(node);
  return offered?.find((c) => (c.outputs[0] ?? 'rows') === layout) ?? offered?.[0];
}

/** Bytes moved (or read across the grain) when `v`, as its producer leaves it, is read as `access`. */
function reformatBytes(
  v: Value,
  access: Layout | 'strided',
  ownLayout: Layout,
  labels: ReadonlyMap<Node, Layout>,
): number {
  // Only tactics that read through any strides at one price write this layout.
  if (access === 'strided' && ownLayout === 'headsInner') return 0;
  const wanted = access === 'strided' ? ownLayout : access;
  return readableAs(v, wanted, labels) ? 0 : access === 'strided' ? 0.5 * bytesOf(v) : bytesOf(v);
}

function edgeBytes(
  v: Value,
  layout: Layout,
  access: Layout | 'strided',
  userLayout: Layout,
  user: Node,
  users: ReadonlyMap<Value, readonly Node[]>,
  labels: ReadonlyMap<Node, Layout>,
  options: ReadonlyMap<Node, readonly Candidate[]>,
): number {
  if (!viewMovements.has(user.op)) {
    const wanted = access === 'strided' ? userLayout : access;
    return layout === wanted || rankOf(v) < 3 ? 0 : access === 'strided' ? 0.5 * bytesOf(v) : bytesOf(v);
  }
  return movedBytes(user.outputs[0]!, viewThrough(user, layout), users, labels, options);
}

/** A movement costs nothing by itself; its readers, through further movements, say what they make of the moved view. */
function movedBytes(
  moved: Value,
  view: View | undefined,
  users: ReadonlyMap<Value, readonly Node[]>,
  labels: ReadonlyMap<Node, Layout>,
  options: ReadonlyMap<Node, readonly Candidate[]>,
): number {
  let bytes = 0;
  for (const next of users.get(moved) ?? []) {
    if (viewMovements.has(next.op)) {
      const out = next.outputs[0]!;
      const dims = out.type.kind === 'tensor' ? out.type.dims : undefined;
      const seen = view && dims && moveView(next.op, next.attributes, view, dims);
      // What strides cannot say is copied first, and is dense from there on.
      bytes += seen ? movedBytes(out, seen, users, labels, options) : bytesOf(moved);
      continue;
    }
    const wants = candidateFor(next, labels.get(next)!, options);
    next.inputs.forEach((u, i) => {
      if (u !== moved) return;
      const wanted = wants?.inputs[i] ?? 'rows';
      const target = wanted === 'strided' ? labels.get(next)! : wanted;
      const fits = view !== undefined && isDense(view, axisOrder(target, rankOf(moved)));
      bytes += fits ? 0 : wanted === 'strided' ? 0.5 * bytesOf(moved) : bytesOf(moved);
    });
  }
  return bytes;
}

/** Whether `v` lies dense in `layout`, looking through movements. */
function readableAs(v: Value, layout: Layout, labels: ReadonlyMap<Node, Layout>): boolean {
  const rank = rankOf(v);
  if (rank < 3 || v.node.op === 'constant') return true;
  if (viewMovements.has(v.node.op)) {
    const input = v.node.inputs[0];
    const view = input && viewThrough(v.node, labels.get(input.node) ?? 'rows');
    return view !== undefined && isDense(view, axisOrder(layout, rank));
  }
  return (labels.get(v.node) ?? 'rows') === layout;
}

function viewThrough(node: Node, inputLayout: Layout): ReturnType<typeof moveView> {
  const input = node.inputs[0]!;
  const out = node.outputs[0]!;
  if (input.type.kind !== 'tensor' || !input.type.dims || out.type.kind !== 'tensor' || !out.type.dims)
    return undefined;
  return moveView(
    node.op,
    node.attributes,
    denseView(input.type.dims, axisOrder(inputLayout, input.type.dims.length)),
    out.type.dims,
  );
}

function rankOf(v: Value): number {
  return v.type.kind === 'tensor' ? (v.type.dims?.length ?? 0) : 0;
}

function bytesOf(v: Value): number {
  if (v.type.kind !== 'tensor' || !v.type.dims) return 0;
  const { min, max } = dimBounds(productOf(v.type.dims));
  return byteLength(v.type.dtype, Math.min(max, Math.max(min, 1) * 64));
}

function minBy<T extends string>(items: readonly T[], key: (item: T) => number): T {
  let best = items[0]!;
  let bestKey = Infinity;
  for (const item of items) {
    const k = key(item);
    if (k < bestKey) {
      best = item;
      bestKey = k;
    }
  }
  return best;
}
