/** Operands of steps: plan values, and views of them where a step sees less than the whole or sees it turned. */

import type { EmittedOperand, PlanOperand, ScratchMemory } from '@tensorwright/core';
import type { ExpressionTable } from './expressions.js';
import { type Memory, type Placement, storageOfDims, type ValueTable } from './value-table.js';
import { padRank } from './view.js';
import type { WeightSection } from './weights.js';

export class Operands {
  readonly #table: ExpressionTable;
  readonly #values: ValueTable;
  readonly #weights: WeightSection;
  readonly #scratch = new Map<ScratchMemory, number>();

  constructor(table: ExpressionTable, values: ValueTable, weights: WeightSection) {
    this.#table = table;
    this.#values = values;
    this.#weights = weights;
  }

  /** @param rank of what is read, at least: leading axes of extent 1 are added */
  of({ value, view }: Placement, rank: number): PlanOperand {
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

  /** What a step brings along itself; null where it brings nothing. */
  builtIn(operand: EmittedOperand, memory: Memory): PlanOperand | null {
    switch (operand.kind) {
      case 'constant': {
        const { tensor, onHost } = operand;
        const value = this.#values.push({
          dtype: tensor.dtype,
          dims: tensor.dims.map((d) => this.#table.index(d)),
          storage: { kind: 'constant', ...this.#weights.addTensor(tensor) },
          ...(memory && onHost !== true && { memory }),
        });
        return { value };
      }
      case 'dims': {
        const elements = operand.values.map((d) => this.#table.index(d));
        const dims = [this.#table.index(elements.length)];
        return { value: this.#values.push({ dtype: 'int64', dims, storage: { kind: 'dims', elements } }) };
      }
      case 'scratch':
        return { value: this.#scratchValue(operand.memory, memory) };
      default:
        return null;
    }
  }

  #scratchValue(scratch: ScratchMemory, memory: Memory): number {
    const known = this.#scratch.get(scratch);
    if (known !== undefined) return known;
    const { dtype, dims } = scratch;
    const value = this.#values.push({
      dtype,
      dims: dims.map((d) => this.#table.index(d)),
      storage: storageOfDims(dims),
      ...(memory && { memory }),
    });
    this.#scratch.set(scratch, value);
    return value;
  }
}
