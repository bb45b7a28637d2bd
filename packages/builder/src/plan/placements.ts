/** Where values lie: as their steps made them, as views of others, and as copies in other layouts and the other memory. */

import {
  type Access,
  type ConstantData,
  formatType,
  inferFacts,
  invariant,
  type Layout,
  type Node,
  operatorOf,
  type PlanStorage,
  type TensorType,
  type Value,
} from '@tensorwright/core';
import type { ConcatSlot } from './concat-slots.js';
import type { ExpressionTable } from './expressions.js';
import { assignmentOf, type LowerContext } from './lower-context.js';
import type { StepList } from './step-list.js';
import { isFact, type Memory, type Placement, type ValueTable } from './value-table.js';
import { axisOrder, isDense, moveView, slotView, type View, viewMovements } from './view.js';

export class Placements {
  /** Where each value was made. */
  readonly #placements = new Map<Value, Placement>();
  /** The same values in the other memory, and dense copies in other layouts, by memory and layout. */
  readonly #copies = new Map<Value, Map<string, Placement>>();
  /** Values of the host and all of them on the device. */
  readonly #twins = new Map<number, number>();
  readonly #slots: ReadonlyMap<Value, ConcatSlot>;
  readonly #context: LowerContext;
  readonly #table: ExpressionTable;
  readonly #values: ValueTable;
  readonly #steps: StepList;

  /** @param steps where copies are added that reads need */
  constructor(
    slots: ReadonlyMap<Value, ConcatSlot>,
    context: LowerContext,
    table: ExpressionTable,
    values: ValueTable,
    steps: StepList,
  ) {
    this.#slots = slots;
    this.#context = context;
    this.#table = table;
    this.#values = values;
    this.#steps = steps;
  }

  /** An input of the program. */
  addInput(v: Value, index: number): Placement {
    const name = this.#context.inputNames.get(v);
    const placement = this.#values.add(v, {
      storage: { kind: 'input', index },
      layout: this.#context.inputLayouts?.get(v) ?? 'rows',
      memory: this.#context.body ? this.#context.body.inputs[index] : this.#context.inputMemory,
      names: name === undefined ? [] : [name],
    });
    this.#placements.set(v, placement);
    return placement;
  }

  /** A plan value for what a step computes, or the slot of a concat's value. */
  allocate(v: Value, layout: Layout): Placement {
    const slot = this.#slots.get(v);
    if (slot) {
      // The concat may itself be an operand of a concat.
      const whole = this.#placements.get(slot.concat) ?? this.allocate(slot.concat, slot.layout);
      this.#placements.set(slot.concat, whole);
      return { value: whole.value, view: slotView(whole.view!, slot.axis, slot.start, slot.extent) };
    }
    return this.#place(v, layout);
  }

  /** `v` lies where its step changes another value in place. */
  put(v: Value, placement: Placement): void {
    this.#placements.set(v, placement);
  }

  #place(v: Value, layout: Layout): Placement {
    const known = this.#placements.get(v);
    if (known) return known;
    const placement = this.#values.add(v, { layout, memory: assignmentOf(v.node, this.#context).backend.memory });
    this.#placements.set(v, placement);
    return placement;
  }

  /** Where `v` can be read as `access` in this memory, after a copy if need be. */
  read(v: Value, access: Access, memory: Memory): Placement {
    const isAs = (view: View | undefined): boolean =>
      !view || access === 'strided' || isDense(view, axisOrder(access, view.dims.length));
    const home = this.#placementOf(v);
    const made = this.#values.memoryOf(home);
    // A device is faster at putting elements into another order, so it does that before they are carried away.
    if (access !== 'strided' && made && made !== memory && !isAs(home.view))
      return this.#copyOnce(v, `${memory ?? 'host'} ${access}`, () =>
        this.#carry(v, this.read(v, access, made), access, memory),
      );
    const placement = this.inMemory(v, memory);
    if (access === 'strided' || isAs(placement.view)) return placement;
    return this.#copyOnce(v, `${memory ?? 'host'} ${access}`, () => {
      const copy = this.#values.add(v, { layout: access, memory });
      this.#steps.addCopy(v, placement, copy, 'reformat');
      return copy;
    });
  }

  /** Where `v` lies in this memory, after it was carried there if need be. */
  inMemory(v: Value, memory: Memory): Placement {
    const home = this.#placementOf(v);
    if (this.#values.memoryOf(home) === memory) return home;
    return this.#copyOnce(v, memory ?? 'host', () => {
      if (v.node.op === 'constant') return this.#addConstant(v, memory);
      const twin = memory && home.view && this.#twinOf(home, memory);
      if (twin) return { value: twin, view: home.view };
      const from = this.#denseAtHome(v, home);
      const rank = from.view?.dims.length ?? 0;
      const layout = !from.view || isDense(from.view, axisOrder('rows', rank)) ? 'rows' : 'channelsLast';
      return this.#carry(v, from, layout, memory);
    });
  }

  /** @param from dense in the layout */
  #carry(v: Value, from: Placement, layout: Layout, memory: Memory): Placement {
    const carried = this.#values.add(v, { layout, memory });
    this.#steps.addMove(v, 'transfer', 'transfer', from, carried, this.#context.deviceBackend!.name);
    return carried;
  }

  /** A view of an input, a constant or a tensor of dims becomes the same view of all of it on the device. */
  #twinOf({ value, view }: Placement, memory: Memory): number | undefined {
    if (!view || this.#values.isWhole({ value, view })) return undefined;
    const known = this.#twins.get(value);
    if (known !== undefined) return known;
    const { storage } = this.#values.values[value]!;
    // Other values may still be in the making: a concat fills its memory bit by bit.
    if (storage.kind !== 'input' && storage.kind !== 'constant' && storage.kind !== 'dims') return undefined;
    const twin = this.#values.addTwin(value, memory);
    if (!twin) return undefined;
    this.#twins.set(value, twin.to.value);
    if (storage.kind !== 'constant')
      this.#steps.addMove(twin.v, 'transfer', 'transfer', twin.from, twin.to, this.#context.deviceBackend!.name);
    return twin.to.value;
  }

  #denseAtHome(v: Value, home: Placement): Placement {
    const { view } = home;
    const dense = (layout: Layout): boolean => !view || isDense(view, axisOrder(layout, view.dims.length));
    return dense('rows') || dense('channelsLast') ? home : this.read(v, 'rows', this.#values.memoryOf(home));
  }

  #copyOnce(v: Value, key: string, make: () => Placement): Placement {
    let copies = this.#copies.get(v);
    if (!copies) this.#copies.set(v, (copies = new Map<string, Placement>()));
    let copy = copies.get(key);
    if (!copy) copies.set(key, (copy = make()));
    return copy;
  }

  #placementOf(v: Value): Placement {
    const known = this.#placements.get(v);
    if (known) return known;
    const made = this.#placeSource(v);
    this.#placements.set(v, made);
    return made;
  }

  #placeSource(v: Value): Placement {
    if (v.node.op === 'constant') return this.#addConstant(v, undefined);
    const facts = inferFacts(v);
    if (isFact(v) && facts)
      return this.#values.add(v, { storage: { kind: 'dims', elements: facts.map((d) => this.#table.index(d)) } });
    const input = operatorOf(v.node.op).kind === 'movement' ? v.node.inputs[0] : undefined;
    invariant(input, `${v.node.op} was read before it was computed`);
    // A movement that strides cannot express on the input as it lies: make the input dense first.
    const memory = this.#context.assignments.get(v.node)?.backend.memory;
    const dense = this.read(input, 'rows', memory ?? this.#values.memoryOf(this.#placementOf(input)));
    const view = dense.view && moveView(v.node.op, v.node.attributes, dense.view, (v.type as TensorType).dims!);
    invariant(view, `${v.node.op} of ${formatType(input.type)} is no view`);
    return { value: dense.value, view };
  }

  #addConstant(v: Value, memory: Memory): Placement {
    const data = v.node.attributes['data'] as ConstantData;
    const storage: PlanStorage =
      data.dtype === 'string'
        ? { kind: 'object', strings: data.tensor.data as readonly string[] }
        : { kind: 'constant', ...this.#context.weights.addConstant(data) };
    return this.#values.add(v, { storage, memory, names: this.#context.provenance.of(v.node) });
  }

  /** Reads through the input's view instead of computing, where strides can express the movement. */
  asView(node: Node, v: Value): boolean {
    if (!viewMovements.has(node.op) || v.type.kind !== 'tensor' || !v.type.dims) return false;
    const input = node.inputs[0]!;
    if (input.type.kind !== 'tensor' || input.type.dtype === 'string') return false;
    const { view, value } = this.#placementOf(input);
    if (!view) return false;
    const moved = moveView(node.op, node.attributes, view, v.type.dims);
    this.#placements.set(v, moved ? { value, view: moved } : this.#placeSource(v));
    return true;
  }

  /** After a step has written a concat slot, readers see the slot. */
  finishSlot(v: Value): void {
    if (this.#slots.has(v)) this.#placements.set(v, this.allocate(v, 'rows'));
  }
}
