/** From a graph whose nodes have their tactics to a plan program: steps over values, views instead of copies. */

import {
  type Access,
  addDims,
  type Backend,
  type Candidate,
  type ConstantData,
  type Dim,
  type EmitContext,
  type EmittedOperand,
  type EmittedStep,
  formatType,
  freeSymbols,
  type Graph,
  inferFacts,
  invariant,
  type Layout,
  type Node,
  operatorOf,
  type PlanOperand,
  type PlanProgram,
  type PlanSegment,
  type PlanStep,
  type PlanStorage,
  provablyEqual,
  type Provenance,
  type TensorType,
  topologicalOrder,
  type Value,
} from '@tensorwright/core';
import type { Assignment, Assignments } from '../choose/assignment.js';
import { type ConcatSlot, concatSlots, startWithin } from './concat-slots.js';
import { ExpressionTable } from './expressions.js';
import { placeInArenas } from './place-in-arenas.js';
import { isFact, type Memory, type Placement, ValueTable } from './value-table.js';
import { axisOrder, isDense, moveView, padRank, slotView } from './view.js';
import type { WeightSection } from './weights.js';

export interface Lowered {
  readonly program: PlanProgram;
  readonly lowerBoundBytes: number;
}

export interface LowerContext {
  /** Who runs the copies between layouts in the host's memory. */
  readonly copyBackend: string;
  /** The backend with a memory of its own, if there is one: it carries values over and copies within its memory. */
  readonly deviceBackend?: Backend;
  readonly assignments: Assignments;
  readonly weights: WeightSection;
  readonly provenance: Provenance;
  readonly inputNames: ReadonlyMap<Value, string>;
  /** How inputs arrive; absent: row-major in the host's memory. Used when a tactic is timed alone. */
  readonly inputLayouts?: ReadonlyMap<Value, Layout>;
  readonly inputMemory?: Memory;
  /** Leave outputs as their steps make them. Used when a tactic is timed alone. */
  readonly keepOutputs?: boolean;
  breathe(): Promise<void>;
}

export async function lowerProgram(graph: Graph, context: LowerContext, parent?: ExpressionTable): Promise<Lowered> {
  return new Lowering(graph, context).run(parent);
}

/** A step whose place is known, and whose code is still being made: many are made at once. */
interface PendingStep {
  readonly step: number;
  readonly emitted: Promise<EmittedStep>;
  operandOf(operand: EmittedOperand): PlanOperand | null;
}

class Lowering {
  readonly #graph: Graph;
  readonly #context: LowerContext;
  readonly #table = new ExpressionTable();
  readonly #values = new ValueTable(this.#table);
  readonly #steps: PlanStep[] = [];
  readonly #backendOfStep: string[] = [];
  /** Where each value was made. */
  readonly #placements = new Map<Value, Placement>();
  /** The same values in the other memory, and dense copies in other layouts, by memory and layout. */
  readonly #copies = new Map<Value, Map<string, Placement>>();
  readonly #pendingSteps: PendingStep[] = [];
  /** Values of the host and all of them on the device. */
  readonly #twins = new Map<number, number>();
  #slots: ReadonlyMap<Value, ConcatSlot> = new Map();
  /** Operands of concats that were copied into their place: longer concats that begin with it need no second copy. */
  readonly #copied = new Map<Value, ConcatSlot>();
  #lowerBoundOfBodies = 0;

  constructor(graph: Graph, context: LowerContext) {
    this.#graph = graph;
    this.#context = context;
  }

  async run(parent: ExpressionTable | undefined): Promise<Lowered> {
    const inherits = parent
      ? [...freeSymbols(this.#graph)].map((s) => [this.#table.symbol(s), parent.symbol(s)] as const)
      : [];
    for (const [own] of inherits) this.#values.markBound(this.#table.symbols[own]!);
    const inputs = this.#graph.inputs.map((v, i) => this.#input(v, i));
    const order = topologicalOrder(this.#graph);
    this.#slots = concatSlots(order, this.#graph, this.#context.assignments);
    for (const node of order) {
      await this.#lowerNode(node);
      await this.#context.breathe();
    }
    const outputs = this.#context.keepOutputs === true ? [] : this.#graph.outputs.map((v) => this.#outputValue(v));
    await this.#finishSteps();
    this.#carryInputsFirst();
    const arenas = placeInArenas(this.#values.values, this.#steps, outputs, this.#table);
    const program: PlanProgram = {
      symbols: this.#table.planSymbols(),
      ...(inherits.length > 0 && { inherits }),
      expressions: this.#table.expressions,
      values: arenas.values,
      inputs,
      outputs,
      steps: this.#steps,
      segments: segmentsOf(this.#backendOfStep),
      arenaBytes: arenas.hostBytes,
      ...(arenas.deviceBytes > 0 && { deviceArenaBytes: arenas.deviceBytes }),
    };
    return { program, lowerBoundBytes: arenas.lowerBound + this.#lowerBoundOfBodies };
  }

  #input(v: Value, index: number): number {
    const name = this.#context.inputNames.get(v);
    const placement = this.#values.add(v, {
      storage: { kind: 'input', index },
      layout: this.#context.inputLayouts?.get(v) ?? 'rows',
      memory: this.#context.inputMemory,
      names: name === undefined ? [] : [name],
    });
    this.#placements.set(v, placement);
    return placement.value;
  }

  #assignmentOf(node: Node): Assignment {
    const assignment = this.#context.assignments.get(node);
    invariant(assignment, `no tactic was chosen for ${node.op}`);
    return assignment;
  }

  /** A plan value for what a step computes, or the slot of a concat's value. */
  #allocate(v: Value, layout: Layout): Placement {
    const slot = this.#slots.get(v);
    if (slot) {
      // The concat may itself be an operand of a concat.
      const whole = this.#placements.get(slot.concat) ?? this.#allocate(slot.concat, slot.layout);
      this.#placements.set(slot.concat, whole);
      return { value: whole.value, view: slotView(whole.view!, slot.axis, slot.start, slot.extent) };
    }
    return this.#place(v, layout);
  }

  #place(v: Value, layout: Layout): Placement {
    const known = this.#placements.get(v);
    if (known) return known;
    const placement = this.#values.add(v, { layout, memory: this.#assignmentOf(v.node).backend.memory });
    this.#placements.set(v, placement);
    return placement;
  }

  async #lowerNode(node: Node): Promise<void> {
    if (node.op === 'input' || node.op === 'constant' || node.op === 'dims') return;
    const v = node.outputs[0]!;
    if (node.outputs.every((o) => isFact(o))) return;
    if (operatorOf(node.op).kind === 'movement' && this.#asView(node, v)) return;
    if (node.op === 'concat' && this.#context.assignments.get(node)?.backend.name !== 'reference') {
      this.#lowerConcat(node);
      return;
    }
    const assignment = this.#assignmentOf(node);
    const { backend, candidate } = assignment;
    const emitting = backend.emit(node, candidate, this.#emitContext(node, assignment));
    if (backend.memory === undefined) {
      const step = await emitting;
      const programs = await this.#lowerRegions(node, assignment);
      const inputs = step.inputs.map((operand) => this.#inputOperand(node, operand, assignment));
      this.#addStep(node, assignment, step, inputs, this.#outputOperands(node, step.outputs, candidate), programs);
    } else {
      this.#addPendingStep(node, assignment, emitting);
    }
    for (const o of node.outputs) this.#finishSlot(o);
  }

  /** All operands are placed now, so that copies of them come before the step. */
  #addPendingStep(node: Node, assignment: Assignment, emitted: Promise<EmittedStep>): void {
    const { backend, candidate } = assignment;
    node.inputs.forEach((v, i) => v && this.#read(v, candidate.inputs[i] ?? 'rows', backend.memory));
    const all = node.outputs.map((_, index) => ({ kind: 'output', index }) as const);
    this.#pendingSteps.push({
      step: this.#steps.length,
      emitted,
      operandOf: (operand) => this.#inputOperand(node, operand, assignment),
    });
    // Rejections are seen when the steps are finished, which may be much later.
    emitted.catch(() => undefined);
    const outputs = this.#outputOperands(node, all, candidate);
    this.#addStep(node, assignment, { kernel: '', attributes: {}, inputs: [], outputs: all }, [], outputs, []);
  }

  #outputOperands(node: Node, operands: readonly EmittedOperand[], candidate: Candidate): (PlanOperand | null)[] {
    return operands.map((operand) =>
      operand.kind === 'output'
        ? this.#operand(this.#allocate(node.outputs[operand.index]!, candidate.outputs[operand.index] ?? 'rows'), 0)
        : null,
    );
  }

  #emitContext(node: Node, { backend, candidate }: Assignment): EmitContext {
    return {
      view: (input) => {
        const v = node.inputs[input];
        return v && this.#read(v, candidate.inputs[input] ?? 'rows', backend.memory).view;
      },
      outputView: (output) => this.#allocate(node.outputs[output]!, candidate.outputs[output] ?? 'rows').view,
      symbol: (s) => this.#table.symbol(s),
      constant: (data) => this.#context.weights.addConstant(data),
    };
  }

  async #lowerRegions(node: Node, { backend }: Assignment): Promise<PlanProgram[]> {
    if (operatorOf(node.op).kind !== 'control' || backend.name === 'reference') return [];
    const programs: PlanProgram[] = [];
    for (const region of node.regions) {
      const lowered = await lowerProgram(region, this.#context, this.#table);
      programs.push(lowered.program);
    }
    return programs;
  }

  #inputOperand(node: Node, operand: EmittedOperand, { backend, candidate }: Assignment): PlanOperand | null {
    if (operand.kind !== 'input') return this.#builtInOperand(operand, backend.memory);
    const v = node.inputs[operand.index];
    if (!v) return null;
    const out = node.outputs[0]?.type;
    const rank = operand.broadcast === true && out?.kind === 'tensor' ? (out.dims?.length ?? 0) : 0;
    return this.#operand(this.#read(v, candidate.inputs[operand.index] ?? 'rows', backend.memory), rank);
  }

  /** What a step brings along itself. */
  #builtInOperand(operand: EmittedOperand, memory: Memory): PlanOperand | null {
    switch (operand.kind) {
      case 'constant': {
        const { tensor, onHost } = operand;
        const value = this.#values.push({
          dtype: tensor.dtype,
          dims: tensor.dims.map((d) => this.#table.index(d)),
          storage: { kind: 'constant', ...this.#context.weights.addTensor(tensor) },
          ...(memory && onHost !== true && { memory }),
        });
        return { value };
      }
      case 'dims': {
        const elements = operand.values.map((d) => this.#table.index(d));
        const dims = [this.#table.index(elements.length)];
        return { value: this.#values.push({ dtype: 'int64', dims, storage: { kind: 'dims', elements } }) };
      }
      default:
        return null;
    }
  }

  #operand({ value, view }: Placement, rank: number): PlanOperand {
    if (!view) return { value };
    const padded = padRank(view, rank);
    if (this.#values.isWhole({ value, view: padded })) return { value };
    return {
      value,
      ...(padded.offset !== 0 && { offset: this.#table.index(padded.offset) }),
      dims: padded.dims.map((d) => this.#table.index(d)),
      strides: padded.strides.map((s) => this.#table.index(s)),
    };
  }

  /** Where `v` can be read as `access` in this memory, after a copy if need be. */
  #read(v: Value, access: Access, memory: Memory): Placement {
    const placement = this.#inMemory(v, memory);
    const { view } = placement;
    if (!view || access === 'strided' || isDense(view, axisOrder(access, view.dims.length))) return placement;
    return this.#copyOnce(v, `${memory ?? 'host'} ${access}`, () => {
      const copy = this.#values.add(v, { layout: access, memory });
      this.#addCopy(v, placement, copy, 'reformat');
      return copy;
    });
  }

  /** Where `v` lies in this memory, after it was carried there if need be. */
  #inMemory(v: Value, memory: Memory): Placement {
    const home = this.#placementOf(v);
    if (this.#values.memoryOf(home) === memory) return home;
    return this.#copyOnce(v, memory ?? 'host', () => {
      if (v.node.op === 'constant') return this.#addConstant(v, memory);
      const twin = memory && home.view && this.#twinOf(home, memory);
      if (twin) return { value: twin, view: home.view };
      const from = this.#denseAtHome(v, home);
      const rank = from.view?.dims.length ?? 0;
      const layout = !from.view || isDense(from.view, axisOrder('rows', rank)) ? 'rows' : 'channelsLast';
      const carried = this.#values.add(v, { layout, memory });
      this.#pushStep(v, 'transfer', 'transfer', from, carried, this.#context.deviceBackend!.name);
      return carried;
    });
  }

  /** A view of an input or a constant becomes the same view of all of it on the device. */
  #twinOf({ value, view }: Placement, memory: Memory): number | undefined {
    if (!view || this.#values.isWhole({ value, view })) return undefined;
    const known = this.#twins.get(value);
    if (known !== undefined) return known;
    const { storage } = this.#values.values[value]!;
    // Other values may still be in the making: a concat fills its memory bit by bit.
    if (storage.kind !== 'input' && storage.kind !== 'constant') return undefined;
    const twin = this.#values.addTwin(value, memory);
    if (!twin) return undefined;
    this.#twins.set(value, twin.to.value);
    if (storage.kind === 'input')
      this.#pushStep(twin.v, 'transfer', 'transfer', twin.from, twin.to, this.#context.deviceBackend!.name);
    return twin.to.value;
  }

  #denseAtHome(v: Value, home: Placement): Placement {
    const { view } = home;
    const dense = (layout: Layout): boolean => !view || isDense(view, axisOrder(layout, view.dims.length));
    return dense('rows') || dense('channelsLast') ? home : this.#read(v, 'rows', this.#values.memoryOf(home));
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
    const dense = this.#read(input, 'rows', this.#values.memoryOf(this.#placementOf(input)));
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
  #asView(node: Node, v: Value): boolean {
    if (node.op === 'concat' || node.op === 'pad' || v.type.kind !== 'tensor' || !v.type.dims) return false;
    if (!['reshape', 'transpose', 'expand', 'slice'].includes(node.op)) return false;
    const input = node.inputs[0]!;
    if (input.type.kind !== 'tensor' || input.type.dtype === 'string') return false;
    const { view, value } = this.#placementOf(input);
    if (!view) return false;
    const moved = moveView(node.op, node.attributes, view, v.type.dims);
    if (moved) this.#placements.set(v, { value, view: moved });
    else this.#placements.set(v, this.#placeSource(v));
    return true;
  }

  #lowerConcat(node: Node): void {
    const v = node.outputs[0]!;
    const layout = this.#context.assignments.get(node)?.candidate.outputs[0] ?? 'rows';
    const whole = this.#slots.has(v) ? this.#allocate(v, layout) : this.#place(v, layout);
    this.#placements.set(v, whole);
    const memory = this.#values.memoryOf(whole);
    const axis = node.attributes['axis'] as number;
    let start: Dim = 0;
    for (const input of node.inputs) {
      const type = input!.type as TensorType;
      const extent = type.dims![axis]!;
      const within = startWithin(input!, v, (u) => this.#slots.get(u) ?? this.#copied.get(u));
      if (within === undefined || !provablyEqual(within, start)) {
        const to = { value: whole.value, view: slotView(whole.view!, axis, start, extent) };
        this.#addCopy(v, this.#inMemory(input!, memory), to, 'concat');
        if (!this.#slots.has(input!)) this.#copied.set(input!, { concat: v, layout, axis, start, extent });
      }
      start = addDims(start, extent);
    }
  }

  /** After a step has written a concat slot, readers see the slot. */
  #finishSlot(v: Value): void {
    if (this.#slots.has(v)) this.#placements.set(v, this.#allocate(v, 'rows'));
  }

  /** Both in one memory. */
  #addCopy(v: Value, from: Placement, to: Placement, why: string): void {
    const backend = this.#values.memoryOf(to) && this.#context.deviceBackend;
    if (backend) {
      invariant(backend.emitCopy && from.view && to.view, 'nobody copies in this memory');
      const emitted = backend.emitCopy((v.type as TensorType).dtype, from.view, to.view);
      emitted.catch(() => undefined);
      const operandOf = (operand: EmittedOperand): PlanOperand | null =>
        operand.kind === 'input' ? this.#operand(from, 0) : this.#builtInOperand(operand, backend.memory);
      this.#pendingSteps.push({ step: this.#steps.length, emitted, operandOf });
    }
    this.#pushStep(v, 'copy', why, from, to, backend ? backend.name : this.#context.copyBackend);
  }

  async #finishSteps(): Promise<void> {
    for (const { step, emitted, operandOf } of this.#pendingSteps) {
      const { kernel, attributes, inputs } = await emitted;
      this.#steps[step] = { ...this.#steps[step]!, kernel, attributes, inputs: inputs.map(operandOf) };
      await this.#context.breathe();
    }
  }

  /** Then nothing of the host's comes between the steps of the device, which can be recorded as one. */
  #carryInputsFirst(): void {
    const carries = ({ kernel, inputs }: PlanStep): boolean =>
      kernel === 'transfer' && this.#values.values[inputs[0]!.value]!.storage.kind === 'input';
    const order = this.#steps.map((step, i) => [step, this.#backendOfStep[i]!] as const);
    const sorted = [...order.filter(([s]) => carries(s)), ...order.filter(([s]) => !carries(s))];
    sorted.forEach(([step, backend], i) => ([this.#steps[i], this.#backendOfStep[i]] = [step, backend]));
  }

  #pushStep(v: Value, kernel: string, kind: string, from: Placement, to: Placement, backend: string): void {
    const origins = this.#context.provenance.of(v.node);
    this.#steps.push({
      kernel,
      attributes: {},
      inputs: [this.#operand(from, 0)],
      outputs: [this.#operand(to, 0)],
      layer: { name: origins[0] ?? v.node.op, kind, origins, tactic: kernel },
    });
    this.#backendOfStep.push(backend);
  }

  #addStep(
    node: Node,
    { backend, candidate, nanoseconds }: Assignment,
    { kernel, attributes }: EmittedStep,
    inputs: readonly (PlanOperand | null)[],
    outputs: readonly (PlanOperand | null)[],
    programs: readonly PlanProgram[],
  ): void {
    const origins = this.#context.provenance.of(node);
    this.#steps.push({
      kernel,
      attributes,
      inputs,
      outputs,
      ...(programs.length > 0 && { programs }),
      layer: {
        name: origins[0] ?? node.op,
        kind: node.op === 'group' ? (node.attributes['kind'] as string) : node.op,
        origins,
        tactic: candidate.tactic,
        ...(nanoseconds !== undefined && { microseconds: nanoseconds / 1000 }),
      },
    });
    this.#backendOfStep.push(backend.name);
  }

  /** Outputs are plan values of their own: whole, dense, row-major, in the host's memory. */
  #outputValue(v: Value): number {
    const placement = this.#read(v, 'rows', undefined);
    const { value, view } = placement;
    if (!view || this.#values.isWhole({ value, view })) return value;
    const copy = this.#values.add(v);
    this.#addCopy(v, placement, copy, 'output');
    return copy.value;
  }
}

function segmentsOf(backends: readonly string[]): PlanSegment[] {
  const segments: { backend: string; begin: number; end: number }[] = [];
  backends.forEach((backend, i) => {
    const open = segments.at(-1);
    if (open?.backend === backend) open.end = i + 1;
    else segments.push({ backend, begin: i, end: i + 1 });
  });
  return segments;
}
