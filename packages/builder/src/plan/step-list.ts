/** The steps of one program and their backends, in order; the code of some may still be in the making. */

import {
  type EmittedOperand,
  type EmittedStep,
  invariant,
  type Node,
  type PlanOperand,
  type PlanProgram,
  type PlanSegment,
  type PlanStep,
  type TensorType,
  type Value,
} from '@tensorwright/core';
import type { Assignment } from '../choose/assignment.js';
import type { LowerContext } from './lower-context.js';
import { mergeReads, type Placed } from './merge-reads.js';
import type { Operands } from './operands.js';
import { withoutUnreadMoves } from './unread-moves.js';
import type { Placement, ValueTable } from './value-table.js';

/** A step whose place is known, and whose code is still being made: many are made at once. */
interface PendingStep {
  readonly step: number;
  readonly emitted: Promise<EmittedStep>;
  operandOf(operand: EmittedOperand): PlanOperand | null;
}

/** What is copied where. */
export interface CopyPlaces {
  readonly from: Placement;
  readonly to: Placement;
}

export class StepList {
  readonly steps: PlanStep[] = [];
  readonly #backendOfStep: string[] = [];
  readonly #pending: PendingStep[] = [];
  readonly #context: LowerContext;
  readonly #values: ValueTable;
  readonly #operands: Operands;

  constructor(context: LowerContext, values: ValueTable, operands: Operands) {
    this.#context = context;
    this.#values = values;
    this.#operands = operands;
  }

  add(
    node: Node,
    { backend, candidate, nanoseconds }: Assignment,
    { kernel, attributes }: EmittedStep,
    inputs: readonly (PlanOperand | null)[],
    outputs: readonly (PlanOperand | null)[],
    programs: readonly PlanProgram[],
  ): void {
    const origins = this.#context.provenance.of(node);
    this.steps.push({
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

  /** The code of the step that is added next comes later, and so do its inputs and the steps that it needs before it. */
  pend(emitted: Promise<EmittedStep>, operandOf: PendingStep['operandOf']): void {
    this.#pending.push({ step: this.steps.length, emitted, operandOf });
    // Rejections are seen when the steps are finished, which may be much later.
    emitted.catch(() => undefined);
  }

  /** Both in one memory. */
  addCopy(v: Value, from: Placement, to: Placement, why: string): void {
    const backend = this.#values.memoryOf(to) && this.#context.deviceBackend;
    if (backend) {
      invariant(backend.emitCopy && from.view && to.view, 'nobody copies in this memory');
      const emitted = backend.emitCopy((v.type as TensorType).dtype, from.view, to.view);
      const operandOf = (operand: EmittedOperand): PlanOperand | null =>
        operand.kind === 'input' ? this.#operands.of(from, 0) : this.#operands.builtIn(operand, backend.memory);
      this.pend(emitted, operandOf);
    }
    this.addMove(v, 'copy', why, from, to, backend ? backend.name : this.#context.copyBackend);
  }

  /** Parts of `v`, whose memory `whole` is in; the memory of both is one. */
  addCopies(v: Value, copies: readonly CopyPlaces[], whole: Placement, why: string): void {
    const backend = this.#values.memoryOf(whole) && this.#context.deviceBackend;
    const views = copies.map(({ from, to }) => ({ from: from.view!, to: to.view! }));
    const joined = backend?.joinCopies?.((v.type as TensorType).dtype, views) ?? [];
    for (const { copies: members, step } of joined) {
      const from = members.map((i) => copies[i]!.from);
      this.pend(step, (operand) =>
        operand.kind === 'input'
          ? this.#operands.of(from[operand.index]!, 0)
          : this.#operands.builtIn(operand, backend!.memory),
      );
      this.addMove(v, 'copy', why, from[0]!, { value: whole.value, view: undefined }, backend!.name);
    }
    const done = new Set(joined.flatMap((j) => j.copies));
    copies.forEach(({ from, to }, i) => {
      if (!done.has(i)) this.addCopy(v, from, to, why);
    });
  }

  /** A step that moves elements and computes nothing. */
  addMove(v: Value, kernel: string, kind: string, from: Placement, to: Placement, backend: string): void {
    const origins = this.#context.provenance.of(v.node);
    this.steps.push({
      kernel,
      attributes: {},
      inputs: [this.#operands.of(from, 0)],
      outputs: [this.#operands.of(to, 0)],
      layer: { name: origins[0] ?? v.node.op, kind, origins, tactic: kernel },
    });
    this.#backendOfStep.push(backend);
  }

  /** Waits for the code of all steps, and puts them into their final order. @param outputs of the program */
  async finish(outputs: readonly number[]): Promise<void> {
    const before = new Map<number, readonly PlanStep[]>();
    for (const { step, emitted, operandOf } of this.#pending) {
      const { kernel, attributes, inputs, before: earlier } = await emitted;
      const own = this.steps[step]!;
      const made = earlier?.map((e) => ({
        kernel: e.kernel,
        attributes: e.attributes,
        inputs: e.inputs.map(operandOf),
        outputs: e.outputs.map(operandOf),
        layer: own.layer,
      }));
      if (made) before.set(step, made);
      this.steps[step] = { ...own, kernel, attributes, inputs: inputs.map(operandOf) };
      await this.#context.breathe();
    }
    const all = this.steps.flatMap((step, i) => {
      const backend = this.#backendOfStep[i]!;
      return [...(before.get(i) ?? []), step].map((s): Placed => [s, backend]);
    });
    const { values, table } = this.#values;
    const kept = this.#inputsFirst(withoutUnreadMoves(all, values, outputs));
    const order = await mergeReads(kept, values, table, outputs, () => this.#context.breathe());
    this.steps.splice(0, Infinity, ...order.map(([step]) => step));
    this.#backendOfStep.splice(0, Infinity, ...order.map(([, backend]) => backend));
  }

  /** Inputs are carried first: then nothing of the host's comes between the steps of the device, which can be recorded as one. */
  #inputsFirst(order: readonly Placed[]): readonly Placed[] {
    const carries = ({ kernel, inputs }: PlanStep): boolean =>
      kernel === 'transfer' && this.#values.values[inputs[0]!.value]!.storage.kind === 'input';
    return [...order.filter(([s]) => carries(s)), ...order.filter(([s]) => !carries(s))];
  }

  segments(): PlanSegment[] {
    return segmentsOf(this.#backendOfStep);
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
