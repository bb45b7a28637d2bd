/** What every run of a program asks about it, computed once: lifetimes, writers, constants. */

import { type PlanProgram, type PlanSegment, Tensor } from '@tensorwright/core';

export class ProgramFacts {
  readonly #program: PlanProgram;
  readonly #weights: (offset: number, bytes: number) => Uint8Array;
  readonly #constants = new Map<number, Tensor>();
  readonly #lastRead: readonly (readonly number[])[];
  readonly #writes = new Map<number, number>();
  readonly #wantedNatively = new Set<number>();
  readonly #bindersOf = new Map<PlanSegment, readonly number[]>();

  /** @param isNative whether a backend's segments run natively */
  constructor(
    program: PlanProgram,
    weights: (offset: number, bytes: number) => Uint8Array,
    isNative: (backend: string) => boolean,
  ) {
    this.#program = program;
    this.#weights = weights;
    const lastStep = new Map<number, number>();
    for (const segment of program.segments) {
      const binders = new Set<number>();
      for (let i = segment.begin; i < segment.end; i++) {
        const { inputs, outputs } = program.steps[i]!;
        for (const operand of [...inputs, ...outputs]) if (operand) lastStep.set(operand.value, i);
        for (const operand of outputs)
          if (operand) this.#writes.set(operand.value, (this.#writes.get(operand.value) ?? 0) + 1);
        if (!isNative(segment.backend)) continue;
        for (const operand of inputs) if (operand) this.#wantedNatively.add(operand.value);
        for (const operand of outputs) if (operand && program.values[operand.value]!.binds) binders.add(operand.value);
      }
      this.#bindersOf.set(segment, [...binders]);
    }
    for (const value of program.outputs) {
      lastStep.delete(value);
      this.#wantedNatively.add(value);
    }
    program.values.forEach((v, i) => {
      if (v.binds) this.#wantedNatively.add(i);
    });
    const lastRead: number[][] = program.steps.map(() => []);
    for (const [value, step] of lastStep) lastRead[step]!.push(value);
    this.#lastRead = lastRead;
  }

  /** A tensor over the weights: made once, shared by all contexts, never written to. */
  constant(value: number): Tensor {
    let tensor = this.#constants.get(value);
    if (tensor) return tensor;
    const { dtype, dims, storage } = this.#program.values[value]!;
    if (storage.kind !== 'constant') throw new TypeError('not a constant');
    const extents = dims!.map((d) => this.#program.expressions[d]![0] as number);
    tensor = Tensor.fromBytes(dtype!, this.#weights(storage.offset, storage.bytes), extents);
    this.#constants.set(value, tensor);
    return tensor;
  }

  /** Values that nobody reads after this step. */
  lastReadBy(step: number): readonly number[] {
    return this.#lastRead[step]!;
  }

  /** Several steps write parts of it. */
  writtenTwice(value: number): boolean {
    return (this.#writes.get(value) ?? 0) > 1;
  }

  /** The native side needs its elements or its shape. */
  wantedNatively(value: number): boolean {
    return this.#wantedNatively.has(value) || this.writtenTwice(value);
  }

  /** Values written in the segment whose shapes give symbols their values. */
  bindersOf(segment: PlanSegment): readonly number[] {
    return this.#bindersOf.get(segment) ?? [];
  }
}
