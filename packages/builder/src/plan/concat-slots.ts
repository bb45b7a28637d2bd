/**
 * Concat without copies: an operand that its own step can write through strides is computed straight into its slot
 * of the concat's memory.
 */

import {
  addDims,
  definerOf,
  type Dim,
  dimSymbols,
  type Graph,
  type Layout,
  type Node,
  operatorOf,
  type TensorType,
  usersOf,
  type Value,
} from '@tensorwright/core';
import type { Assignments } from '../choose/assignment.js';

export interface ConcatSlot {
  /** The concat's output. */
  readonly concat: Value;
  readonly layout: Layout;
  readonly axis: number;
  readonly start: Dim;
  readonly extent: Dim;
}

export function concatSlots(order: readonly Node[], graph: Graph, assignments: Assignments): Map<Value, ConcatSlot> {
  const slots = new Map<Value, ConcatSlot>();
  const users = usersOf(order);
  const outputs = new Set(graph.outputs);
  const concats = order.filter((n) => isNativeConcat(n, assignments) && dimsOf(n).every(knownBeforehand));
  /** May every reader but concats take this value through strides? */
  const readThroughStrides = (v: Value): boolean =>
    !outputs.has(v) &&
    (users.get(v) ?? []).every((user) => {
      if (isNativeConcat(user, assignments)) return true;
      const candidate = assignments.get(user)?.candidate;
      return user.inputs.every((w, i) => w !== v || candidate?.inputs[i] === 'strided');
    });
  for (const [at, node] of concats.entries()) {
    const { layout, axis } = describe(node, assignments);
    const v = node.outputs[0]!;
    const evenRows = innermost(layout, dimsOf(node).length, axis);
    let start: Dim = 0;
    const seen = new Set<Value>();
    for (const input of node.inputs as readonly Value[]) {
      const extent = (input.type as TensorType).dims![axis]!;
      const producer = assignments.get(input.node);
      const writable =
        input.node.op !== 'concat' &&
        producer?.candidate.stridedOutput === true &&
        (evenRows || isDeviceMap(input.node, assignments)) &&
        input.index === 0 &&
        producer.candidate.outputs[0] === layout &&
        producer.backend.name === assignments.get(node)!.backend.name;
      const nested =
        input.node.op === 'concat' &&
        users.get(input)?.length === 1 &&
        isNativeConcat(input.node, assignments) &&
        describe(input.node, assignments).layout === layout;
      if ((writable || (nested && evenRows)) && !slots.has(input) && !seen.has(input) && readThroughStrides(input)) {
        slots.set(input, { concat: v, layout, axis, start, extent });
      }
      seen.add(input);
      start = addDims(start, extent);
    }
    // Dense networks append to one list of features: the shorter concat is the beginning of the next longer one.
    const longer =
      !evenRows || slots.has(v) || !readThroughStrides(v)
        ? undefined
        : concats.slice(at + 1).find((other) => extendsConcat(other, node, assignments));
    if (longer) slots.set(v, { concat: longer.outputs[0]!, layout, axis, start: 0, extent: start });
  }
  return slots;
}

/** Where `v` lies within `concat`, through concats that lie in it; undefined where it does not. */
export function startWithin(v: Value, concat: Value, slotOf: (v: Value) => ConcatSlot | undefined): Dim | undefined {
  let slot = slotOf(v);
  let start: Dim = 0;
  while (slot) {
    start = addDims(start, slot.start);
    if (slot.concat === concat) return start;
    const outer = slotOf(slot.concat);
    slot = outer?.axis === slot.axis ? outer : undefined;
  }
  return undefined;
}

function dimsOf(concat: Node): readonly Dim[] {
  return (concat.outputs[0]!.type as TensorType).dims!;
}

/** Extents that steps of the run find out are too late: the first operand is computed before the last one's size is known. */
function knownBeforehand(d: Dim): boolean {
  return [...dimSymbols(d)].every((s) => definerOf(s) === undefined);
}

function isNativeConcat(node: Node, assignments: Assignments): boolean {
  const assignment = node.op === 'concat' ? assignments.get(node) : undefined;
  return assignment !== undefined && assignment.backend.name !== 'reference';
}

function describe(node: Node, assignments: Assignments): { layout: Layout; axis: number } {
  return { layout: assignments.get(node)!.candidate.outputs[0]!, axis: node.attributes['axis'] as number };
}

function extendsConcat(longer: Node, shorter: Node, assignments: Assignments): boolean {
  const a = describe(longer, assignments);
  const b = describe(shorter, assignments);
  const same = a.layout === b.layout && a.axis === b.axis && longer.inputs.length > shorter.inputs.length;
  return (
    same &&
    new Set(longer.inputs).size === longer.inputs.length &&
    shorter.inputs.every((v, i) => longer.inputs[i] === v)
  );
}

/** Maps of a device write through any strides, others rows at even distances. */
function isDeviceMap(node: Node, assignments: Assignments): boolean {
  const isMap = node.op === 'group' ? node.attributes['kind'] === 'map' : operatorOf(node.op).kind === 'map';
  return isMap && assignments.get(node)?.backend.memory !== undefined;
}

/** Slots along the innermost physical axis keep rows dense; along an outermost one they are dense altogether. */
function innermost(layout: Layout, rank: number, axis: number): boolean {
  return layout === 'channelsLast' && rank >= 3 ? axis === 1 || axis === 0 : axis === rank - 1 || axis === 0;
}
