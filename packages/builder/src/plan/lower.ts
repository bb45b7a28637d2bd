/** From a graph whose nodes have their tactics to a plan program: steps over values, views instead of copies. */

import {
  addDims,
  asSymbol,
  type Candidate,
  type ConstantData,
  definerOf,
  type Dim,
  type DimSymbol,
  dimSymbols,
  type EmittedStep,
  formatType,
  freeSymbols,
  type Graph,
  inferFacts,
  invariant,
  type Layout,
  type Node,
  operatorOf,
  type PlanAttribute,
  type PlanOperand,
  type PlanProgram,
  type PlanSegment,
  type PlanStep,
  type PlanStorage,
  type PlanValue,
  productOf,
  provablyEqual,
  type Provenance,
  type TensorType,
  topologicalOrder,
  unboundedExtent,
  type Value,
} from '@tensorwright/core';
import type { Access } from '@tensorwright/core';
import type { Assignment, Assignments } from '../choose/assignment.js';
import { type ConcatSlot, concatSlots, startWithin } from './concat-slots.js';
import { ExpressionTable } from './expressions.js';
import { placeInArena } from './place-in-arena.js';
import { axisOrder, denseView, isDense, moveView, padRank, slotView, type View } from './view.js';
import type { WeightSection } from './weights.js';

/** Where a value is: a plan value, and how its elements lie there. */
interface Placement {
  readonly value: number;
  /** undefined for values that are no tensors of known rank. */
  readonly view: View | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface Lowered {
  readonly program: PlanProgram;
  readonly lowerBoundBytes: number;
}

export interface LowerContext {
  /** Who runs the copies between layouts. */
  readonly copyBackend: string;
  readonly assignments: Assignments;
  readonly weights: WeightSection;
  readonly provenance: Provenance;
  readonly inputNames: ReadonlyMap<Value, string>;
  /** Layouts in which inputs arrive; absent: row-major. Used when a tactic is timed alone. */
  readonly inputLayouts?: ReadonlyMap<Value, Layout>;
  /** Leave outputs as their steps make them. Used when a tactic is timed alone. */
  readonly keepOutputs?: boolean;
  emit(node: Node, assignment: Assignment, table: ExpressionTable): Promise<EmittedStep>;
  breathe(): Promise<void>;
}

export async function lowerProgram(graph: Graph, context: LowerContext, parent?: ExpressionTable): Promise<Lowered> {
  return new Lowering(graph, context).run(parent);
}

class Lowering {
  readonly #graph: Graph;
  readonly #context: LowerContext;
  readonly #table = new ExpressionTable();
  readonly #values: Mutable<PlanValue>[] = [];
  readonly #steps: PlanStep[] = [];
  readonly #backendOfStep: string[] = [];
  readonly #placements = new Map<Value, Placement>();
  /** Dense copies made of a value in another layout. */
  readonly #copies = new Map<Value, Map<Layout, Placement>>();
  readonly #bound = new Set<DimSymbol>();
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
    for (const [own] of inherits) this.#bound.add(this.#table.symbols[own]!);
    const inputs = this.#graph.inputs.map((v, i) => this.#input(v, i));
    const order = topologicalOrder(this.#graph);
    this.#slots = concatSlots(order, this.#graph, this.#context.assignments);
    for (const node of order) {
      await this.#lowerNode(node);
      await this.#context.breathe();
    }
    const outputs = this.#context.keepOutputs === true ? [] : this.#graph.outputs.map((v) => this.#outputValue(v));
    const segments = segmentsOf(this.#backendOfStep);
    const arena = placeInArena(this.#values, this.#steps, outputs, this.#table);
    const program: PlanProgram = {
      symbols: this.#table.planSymbols(),
      ...(inherits.length > 0 && { inherits }),
      expressions: this.#table.expressions,
      values: arena.values,
      inputs,
      outputs,
      steps: this.#steps,
      segments,
      arenaBytes: arena.bytes,
    };
    return { program, lowerBoundBytes: arena.lowerBound + this.#lowerBoundOfBodies };
  }

  #input(v: Value, index: number): number {
    const name = this.#context.inputNames.get(v);
    const layout = this.#context.inputLayouts?.get(v) ?? 'rows';
    const id = this.#addValue(v, { kind: 'input', index }, layout, name === undefined ? [] : [name]);
    this.#placements.set(v, { value: id, view: wholeView(v, layout) });
    return id;
  }

  #addValue(v: Value | undefined, storage: PlanStorage, layout: Layout, names: readonly string[] = []): number {
    const value: Mutable<PlanValue> = { storage };
    if (v?.type.kind === 'tensor') {
      value.dtype = v.type.dtype;
      const { dims } = v.type;
      if (dims) {
        value.dims = dims.map((d) => this.#table.index(d));
        // Extents of 1 can make both layouts the same bytes: then it is row-major.
        const order = axisOrder(layout, dims.length);
        if (layout === 'channelsLast' && !isDense(denseView(dims, order), axisOrder('rows', dims.length)))
          value.order = order;
        const binds = this.#newBindings(v, dims);
        if (binds.length > 0) value.binds = binds;
      }
    } else if (v) {
      value.storage = { kind: 'object' };
    }
    if (names.length > 0) value.names = names;
    this.#values.push(value);
    return this.#values.length - 1;
  }

  #newBindings(v: Value, dims: readonly Dim[]): [number, number][] {
    const binds: [number, number][] = [];
    dims.forEach((d, axis) => {
      const symbol = asSymbol(d);
      if (!symbol || this.#bound.has(symbol)) return;
      if (v.node.op !== 'input' && definerOf(symbol)?.node !== v.node && !definedInside(v, symbol)) return;
      this.#bound.add(symbol);
      binds.push([axis, this.#table.symbol(symbol)]);
    });
    return binds;
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
    const placement = { value: this.#addValue(v, this.#storageFor(v), layout), view: wholeView(v, layout) };
    this.#placements.set(v, placement);
    return placement;
  }

  /** Arena where the size is known before the run and bounded, else the heap. */
  #storageFor(v: Value): PlanStorage {
    if (v.type.kind !== 'tensor') return { kind: 'object' };
    const { dims } = v.type;
    if (!dims || v.type.dtype === 'string') return v.type.dtype === 'string' ? { kind: 'object' } : { kind: 'heap' };
    const symbols = [...dimSymbols(productOf(dims))];
    const planned = symbols.every((s) => definerOf(s) === undefined && s.max < unboundedExtent);
    return planned ? { kind: 'arena', offset: 0, bytes: 0 } : { kind: 'heap' };
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
    const assignment = this.#context.assignments.get(node);
    invariant(assignment, `no tactic was chosen for ${node.op}`);
    const step = await this.#context.emit(node, assignment, this.#table);
    const programs = await this.#lowerRegions(node, assignment);
    const inputs = step.inputs.map((operand, i) => this.#inputOperand(node, step, operand, i, assignment.candidate));
    const outputs = step.outputs.map((operand) =>
      operand.kind === 'output'
        ? this.#outputOperand(node.outputs[operand.index]!, assignment.candidate.outputs[operand.index] ?? 'rows')
        : null,
    );
    this.#addStep(node, assignment, step.kernel, step.attributes, inputs, outputs, programs);
    for (const o of node.outputs) this.#finishSlot(o);
  }

  async #lowerRegions(node: Node, assignment: Assignment): Promise<PlanProgram[]> {
    if (operatorOf(node.op).kind !== 'control' || assignment.backend.name === 'reference') return [];
    const programs: PlanProgram[] = [];
    for (const region of node.regions) {
      const lowered = await lowerProgram(region, this.#context, this.#table);
      programs.push(lowered.program);
    }
    return programs;
  }

  #inputOperand(
    node: Node,
    step: EmittedStep,
    operand: EmittedStep['inputs'][number],
    position: number,
    candidate: Candidate,
  ): PlanOperand | null {
    switch (operand.kind) {
      case 'omitted':
      case 'output':
        return null;
      case 'constant': {
        const reference = this.#context.weights.addTensor(operand.tensor);
        const dims = operand.tensor.dims.map((d) => this.#table.index(d));
        this.#values.push({ dtype: operand.tensor.dtype, dims, storage: { kind: 'constant', ...reference } });
        return { value: this.#values.length - 1 };
      }
      case 'dims': {
        const elements = operand.values.map((d) => this.#table.index(d));
        this.#values.push({
          dtype: 'int64',
          dims: [this.#table.index(elements.length)],
          storage: { kind: 'dims', elements },
        });
        return { value: this.#values.length - 1 };
      }
      case 'input': {
        const v = node.inputs[operand.index];
        if (!v) return null;
        const placement = this.#read(v, candidate.inputs[operand.index] ?? 'rows');
        invariant(position < step.inputs.length, 'operand out of range');
        const out = node.outputs[0]?.type;
        const rank = operand.broadcast === true && out?.kind === 'tensor' ? (out.dims?.length ?? 0) : 0;
        return this.#operand(placement, rank);
      }
    }
  }

  #outputOperand(v: Value, layout: Layout): PlanOperand {
    return this.#operand(this.#allocate(v, layout), 0);
  }

  #operand(placement: Placement, rank: number): PlanOperand {
    const { value, view } = placement;
    if (!view) return { value };
    const padded = padRank(view, rank);
    if (this.#isWhole(value, padded)) return { value };
    return {
      value,
      ...(padded.offset !== 0 && { offset: this.#table.index(padded.offset) }),
      dims: padded.dims.map((d) => this.#table.index(d)),
      strides: padded.strides.map((s) => this.#table.index(s)),
    };
  }

  #isWhole(id: number, view: View): boolean {
    const value = this.#values[id]!;
    if (view.offset !== 0 || value.dims?.length !== view.dims.length) return false;
    if (!view.dims.every((d, i) => this.#table.index(d) === value.dims![i])) return false;
    return isDense(view, value.order ?? axisOrder('rows', view.dims.length));
  }

  /** Where `v` can be read as `access`, after a copy if need be. */
  #read(v: Value, access: Access): Placement {
    const placement = this.#placementOf(v);
    const { view } = placement;
    if (!view || access === 'strided') return placement;
    if (isDense(view, axisOrder(access, view.dims.length))) return placement;
    let copies = this.#copies.get(v);
    if (!copies) this.#copies.set(v, (copies = new Map<Layout, Placement>()));
    let copy = copies.get(access);
    if (!copy) {
      copy = { value: this.#addValue(v, this.#storageFor(v), access), view: wholeView(v, access) };
      copies.set(access, copy);
      this.#addCopy(v, placement, copy, 'reformat');
    }
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
    if (v.node.op === 'constant') {
      const data = v.node.attributes['data'] as ConstantData;
      const storage: PlanStorage =
        data.dtype === 'string'
          ? { kind: 'object', strings: data.tensor.data as readonly string[] }
          : { kind: 'constant', ...this.#context.weights.addConstant(data) };
      return {
        value: this.#addValue(v, storage, 'rows', this.#context.provenance.of(v.node)),
        view: wholeView(v, 'rows'),
      };
    }
    const facts = inferFacts(v);
    if (isFact(v) && facts) {
      const storage: PlanStorage = { kind: 'dims', elements: facts.map((d) => this.#table.index(d)) };
      return { value: this.#addValue(v, storage, 'rows'), view: wholeView(v, 'rows') };
    }
    const input = operatorOf(v.node.op).kind === 'movement' ? v.node.inputs[0] : undefined;
    invariant(input, `${v.node.op} was read before it was computed`);
    // A movement that strides cannot express on the input as it lies: make the input dense first.
    const dense = this.#read(input, 'rows');
    const view = dense.view && moveView(v.node.op, v.node.attributes, dense.view, (v.type as TensorType).dims!);
    invariant(view, `${v.node.op} of ${formatType(input.type)} is no view`);
    return { value: dense.value, view };
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
    const axis = node.attributes['axis'] as number;
    let start: Dim = 0;
    for (const input of node.inputs) {
      const type = input!.type as TensorType;
      const extent = type.dims![axis]!;
      const within = startWithin(input!, v, (u) => this.#slots.get(u) ?? this.#copied.get(u));
      if (within === undefined || !provablyEqual(within, start)) {
        this.#addCopy(
          v,
          this.#placementOf(input!),
          { value: whole.value, view: slotView(whole.view!, axis, start, extent) },
          'concat',
        );
        if (!this.#slots.has(input!)) this.#copied.set(input!, { concat: v, layout, axis, start, extent });
      }
      start = addDims(start, extent);
    }
  }

  /** After a step has written a concat slot, readers see the slot. */
  #finishSlot(v: Value): void {
    if (this.#slots.has(v)) this.#placements.set(v, this.#allocate(v, 'rows'));
  }

  #addCopy(v: Value, from: Placement, to: Placement, why: string): void {
    const origins = this.#context.provenance.of(v.node);
    this.#steps.push({
      kernel: 'copy',
      attributes: {},
      inputs: [this.#operand(from, 0)],
      outputs: [this.#operand(to, 0)],
      layer: { name: origins[0] ?? v.node.op, kind: why, origins, tactic: 'copy' },
    });
    this.#backendOfStep.push(this.#context.copyBackend);
  }

  #addStep(
    node: Node,
    assignment: Assignment,
    kernel: string,
    attributes: Readonly<Record<string, PlanAttribute>>,
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
        tactic: assignment.candidate.tactic,
        ...(assignment.nanoseconds !== undefined && { microseconds: assignment.nanoseconds / 1000 }),
      },
    });
    this.#backendOfStep.push(assignment.backend.name);
  }

  /** Outputs are plan values of their own: whole, dense, row-major. */
  #outputValue(v: Value): number {
    const placement = this.#read(v, 'rows');
    const { value, view } = placement;
    if (!view || this.#isWhole(value, view)) return value;
    const copy = { value: this.#addValue(v, this.#storageFor(v), 'rows'), view: wholeView(v, 'rows') };
    this.#addCopy(v, placement, copy, 'output');
    return copy.value;
  }
}

function wholeView(v: Value, layout: Layout): View | undefined {
  if (v.type.kind !== 'tensor' || !v.type.dims) return undefined;
  return denseView(v.type.dims, axisOrder(layout, v.type.dims.length));
}

/** int64 tensors whose elements are all known: they are operands, not computations. */
function isFact(v: Value): boolean {
  return (
    v.type.kind === 'tensor' && v.type.dtype === 'int64' && v.node.op !== 'constant' && inferFacts(v) !== undefined
  );
}

/** A fused group defines the symbols that nodes of its region define. */
function definedInside(v: Value, symbol: DimSymbol): boolean {
  const definer = definerOf(symbol);
  return definer !== undefined && v.node.regions.some((g) => topologicalOrder(g).includes(definer.node));
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
