/** From a graph whose nodes have their tactics to a plan program: steps over values, views instead of copies. */

import {
  addDims,
  type Dim,
  type EmitContext,
  type EmittedOperand,
  type EmittedStep,
  freeSymbols,
  type Graph,
  type Node,
  operatorOf,
  type PlanOperand,
  type PlanProgram,
  provablyEqual,
  type TensorType,
  topologicalOrder,
  type Value,
} from '@tensorwright/core';
import type { Assignment } from '../choose/assignment.js';
import { planAgreements } from './agreements.js';
import { type ConcatSlot, concatSlots, startWithin } from './concat-slots.js';
import { ExpressionTable } from './expressions.js';
import { assignmentOf, type BodyMemory, type LowerContext } from './lower-context.js';
import { Operands } from './operands.js';
import { type MemoryBound, placeInArenas } from './place-in-arenas.js';
import { Placements } from './placements.js';
import { type MayOverwrite, overwriting } from './shared-outputs.js';
import { type CopyPlaces, StepList } from './step-list.js';
import { isFact, type Memory, type Placement, ValueTable } from './value-table.js';
import { slotView } from './view.js';

export interface Lowered {
  readonly program: PlanProgram;
  readonly lowerBound: MemoryBound;
}

export async function lowerProgram(graph: Graph, context: LowerContext, parent?: ExpressionTable): Promise<Lowered> {
  return new Lowering(graph, context).run(parent);
}

class Lowering {
  readonly #graph: Graph;
  readonly #context: LowerContext;
  readonly #order: readonly Node[];
  readonly #slots: ReadonlyMap<Value, ConcatSlot>;
  /** Operands of concats that were copied into their place: longer concats that begin with it need no second copy. */
  readonly #copied = new Map<Value, ConcatSlot>();
  readonly #table = new ExpressionTable();
  readonly #values = new ValueTable(this.#table);
  readonly #operands: Operands;
  readonly #steps: StepList;
  readonly #placements: Placements;
  readonly #mayOverwrite: MayOverwrite;
  readonly #bodies = new Map<PlanProgram, MemoryBound>();
  /** Inputs that lie where an output does. */
  readonly #shared = new Map<Node, Map<number, Placement>>();

  constructor(graph: Graph, context: LowerContext) {
    this.#graph = graph;
    this.#context = context;
    this.#order = topologicalOrder(graph);
    this.#slots = concatSlots(this.#order, graph, context.assignments);
    this.#operands = new Operands(this.#table, this.#values, context.weights);
    this.#steps = new StepList(context, this.#values, this.#operands);
    this.#placements = new Placements(this.#slots, context, this.#table, this.#values, this.#steps);
    this.#mayOverwrite = overwriting(this.#order, graph);
  }

  async run(parent: ExpressionTable | undefined): Promise<Lowered> {
    const inherits = parent
      ? [...freeSymbols(this.#graph)].map((s) => [this.#table.symbol(s), parent.symbol(s)] as const)
      : [];
    for (const [own] of inherits) this.#values.markBound(this.#table.symbols[own]!);
    const inputs = this.#graph.inputs.map((v, i) => this.#placements.addInput(v, i).value);
    for (const node of this.#order) {
      await this.#lowerNode(node);
      await this.#context.breathe();
    }
    const { keepOutputs, body } = this.#context;
    const outputs =
      keepOutputs === true ? [] : this.#graph.outputs.map((v, i) => this.#outputValue(v, body?.outputs[i]));
    await this.#steps.finish(outputs);
    const agreements = parent
      ? []
      : planAgreements(this.#context.agreements ?? [], (s) => this.#values.isBound(s), this.#table);
    const boundOf = (body: PlanProgram): MemoryBound => this.#bodies.get(body)!;
    const arenas = await placeInArenas(this.#values.values, this.#steps.steps, outputs, this.#table, boundOf, () =>
      this.#context.breathe(),
    );
    const program: PlanProgram = {
      symbols: this.#table.planSymbols(),
      ...(inherits.length > 0 && { inherits }),
      expressions: this.#table.expressions,
      ...(agreements.length > 0 && { agreements }),
      values: arenas.values,
      inputs,
      outputs,
      steps: this.#steps.steps,
      segments: this.#steps.segments(),
      arenaBytes: arenas.hostBytes,
      ...(arenas.deviceBytes > 0 && { deviceArenaBytes: arenas.deviceBytes }),
    };
    return { program, lowerBound: arenas.lowerBound };
  }

  async #lowerNode(node: Node): Promise<void> {
    if (node.op === 'input' || node.op === 'constant' || node.op === 'dims') return;
    const v = node.outputs[0]!;
    if (node.outputs.every((o) => isFact(o))) return;
    if (this.#placements.asView(node, v)) return;
    if (node.op === 'concat' && this.#context.assignments.get(node)?.backend.name !== 'reference') {
      this.#lowerConcat(node);
      return;
    }
    const assignment = assignmentOf(node, this.#context);
    const { backend, candidate } = assignment;
    this.#shareMemory(node, assignment);
    const emitting = backend.emit(node, candidate, this.#emitContext(node, assignment));
    if (backend.memory === undefined || operatorOf(node.op).kind === 'control') {
      const step = await emitting;
      const programs = await this.#lowerRegions(node, assignment);
      const inputs = step.inputs.map((operand) => this.#inputOperand(node, operand, assignment));
      this.#steps.add(node, assignment, step, inputs, this.#outputOperands(node, step.outputs, assignment), programs);
    } else {
      this.#addPendingStep(node, assignment, emitting);
    }
    for (const o of node.outputs) this.#placements.finishSlot(o);
  }

  /** Outputs that are inputs changed in place; what is still needed as it was is copied. */
  #shareMemory(node: Node, assignment: Assignment): void {
    const shared = new Map<number, Placement>();
    assignment.candidate.aliases?.forEach((input, output) => {
      const v = input === undefined ? undefined : node.inputs[input];
      if (!v) return;
      const from = this.#readInput(node, input!, assignment)!;
      const o = node.outputs[output]!;
      if (this.#values.isOwn(from) && this.#mayOverwrite(v, node)) {
        this.#placements.put(o, from);
        shared.set(input!, from);
      } else {
        const to = this.#allocateOutput(node, output, assignment);
        this.#steps.addCopy(v, from, to, 'alias');
        shared.set(input!, to);
      }
    });
    this.#shared.set(node, shared);
  }

  /** All operands are placed now, so that copies of them come before the step. */
  #addPendingStep(node: Node, assignment: Assignment, emitted: Promise<EmittedStep>): void {
    node.inputs.forEach((_, i) => this.#readInput(node, i, assignment));
    const all = node.outputs.map((_, index) => ({ kind: 'output', index }) as const);
    this.#steps.pend(emitted, (operand) =>
      operand.kind === 'output'
        ? this.#operands.of(this.#allocateOutput(node, operand.index, assignment), 0)
        : this.#inputOperand(node, operand, assignment),
    );
    const outputs = this.#outputOperands(node, all, assignment);
    this.#steps.add(node, assignment, { kernel: '', attributes: {}, inputs: [], outputs: all }, [], outputs, []);
  }

  #outputOperands(node: Node, operands: readonly EmittedOperand[], assignment: Assignment): (PlanOperand | null)[] {
    return operands.map((operand) =>
      operand.kind === 'output' ? this.#operands.of(this.#allocateOutput(node, operand.index, assignment), 0) : null,
    );
  }

  /** Where the step finds an input, as its tactic reads it. */
  #readInput(node: Node, index: number, { backend, candidate }: Assignment): Placement | undefined {
    const shared = this.#shared.get(node)?.get(index);
    if (shared) return shared;
    const v = node.inputs[index];
    return v && this.#placements.read(v, candidate.inputs[index] ?? 'rows', backend.memory);
  }

  #allocateOutput(node: Node, index: number, { candidate }: Assignment): Placement {
    return this.#placements.allocate(node.outputs[index]!, candidate.outputs[index] ?? 'rows');
  }

  #emitContext(node: Node, assignment: Assignment): EmitContext {
    return {
      view: (input) => this.#readInput(node, input, assignment)?.view,
      outputView: (output) => this.#allocateOutput(node, output, assignment).view,
      symbol: (s) => this.#table.symbol(s),
      constant: (data) => this.#context.weights.addConstant(data),
    };
  }

  async #lowerRegions(node: Node, { backend }: Assignment): Promise<PlanProgram[]> {
    if (operatorOf(node.op).kind !== 'control' || backend.name === 'reference') return [];
    const programs: PlanProgram[] = [];
    for (const region of node.regions) {
      const body = bodyMemory(node, region, backend.memory);
      const lowered = await lowerProgram(region, { ...this.#context, body, keepOutputs: false }, this.#table);
      programs.push(lowered.program);
      this.#bodies.set(lowered.program, lowered.lowerBound);
    }
    return programs;
  }

  #inputOperand(node: Node, operand: EmittedOperand, assignment: Assignment): PlanOperand | null {
    if (operand.kind !== 'input') return this.#operands.builtIn(operand, assignment.backend.memory);
    const v = node.inputs[operand.index];
    const placement =
      operand.onHost === true
        ? v && this.#placements.read(v, 'rows', undefined)
        : this.#readInput(node, operand.index, assignment);
    if (!placement) return null;
    const out = node.outputs[0]?.type;
    const rank = operand.broadcast === true && out?.kind === 'tensor' ? (out.dims?.length ?? 0) : 0;
    return this.#operands.of(placement, rank);
  }

  #lowerConcat(node: Node): void {
    const v = node.outputs[0]!;
    const layout = this.#context.assignments.get(node)?.candidate.outputs[0] ?? 'rows';
    const whole = this.#placements.allocate(v, layout);
    const memory = this.#values.memoryOf(whole);
    const axis = node.attributes['axis'] as number;
    const copies: CopyPlaces[] = [];
    let start: Dim = 0;
    for (const input of node.inputs) {
      const type = input!.type as TensorType;
      const extent = type.dims![axis]!;
      const within = startWithin(input!, v, (u) => this.#slots.get(u) ?? this.#copied.get(u));
      if (within === undefined || !provablyEqual(within, start)) {
        const to = { value: whole.value, view: slotView(whole.view!, axis, start, extent) };
        copies.push({ from: this.#placements.inMemory(input!, memory), to });
        if (!this.#slots.has(input!)) this.#copied.set(input!, { concat: v, layout, axis, start, extent });
      }
      start = addDims(start, extent);
    }
    this.#steps.addCopies(v, copies, whole, 'concat');
    this.#placements.finishSlot(v);
  }

  /** Outputs are plan values of their own: whole, dense, row-major, in the host's memory but for those of bodies. */
  #outputValue(v: Value, memory: Memory): number {
    const placement = this.#placements.read(v, 'rows', memory);
    const { value, view } = placement;
    if (!view || this.#values.isWhole({ value, view })) return value;
    const copy = this.#values.add(v, { memory });
    this.#steps.addCopy(v, placement, copy, 'output');
    return copy.value;
  }
}

/** A body's values lie where its step works; the host counts iterations and reads conditions. */
function bodyMemory(node: Node, region: Graph, memory: Memory): BodyMemory {
  const loop = node.op === 'loop';
  return {
    inputs: region.inputs.map((_, i) => (loop && i < 2 ? undefined : memory)),
    outputs: region.outputs.map((_, i) => (loop && i < 1 ? undefined : memory)),
  };
}
