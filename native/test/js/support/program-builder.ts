/** Plan programs written by hand, without the bookkeeping of indices. */

import type {
  DType,
  NativeTensor,
  PlanAttribute,
  PlanOperand,
  PlanProgram,
  PlanSegment,
  PlanStep,
  PlanStorage,
  PlanSymbol,
  PlanValue,
} from '@tensorwright/native';

/** A number, a symbol like 's0', or postfix code. */
export type Extent = number | string | readonly (number | string)[];

export interface ViewSpec {
  readonly value: number;
  readonly offset?: Extent;
  readonly dims?: readonly Extent[];
  readonly strides?: readonly Extent[];
}

type OperandSpec = number | null | ViewSpec;

export class ProgramBuilder {
  readonly #symbols: PlanSymbol[] = [];
  readonly #inherits: [number, number][] = [];
  readonly #expressions: (readonly (number | string)[])[] = [];
  readonly #values: PlanValue[] = [];
  readonly #inputs: number[] = [];
  readonly #steps: PlanStep[] = [];
  readonly #segments: PlanSegment[] = [];
  #arenaBytes = 0;

  symbol(name: string, min?: number, max?: number, enclosing?: number): string {
    this.#symbols.push({ name, min: min ?? 0, max: max ?? 2 ** 31 - 1 });
    const index = this.#symbols.length - 1;
    if (enclosing !== undefined) this.#inherits.push([index, enclosing]);
    return `s${String(index)}`;
  }

  expression(extent: Extent): number {
    return this.#expressions.push(typeof extent === 'object' ? extent : [extent]) - 1;
  }

  value(
    dtype: DType,
    dims: readonly Extent[] | undefined,
    storage: PlanStorage,
    more: Partial<PlanValue> = {},
  ): number {
    const own = dims === undefined ? {} : { dims: dims.map((d) => this.expression(d)) };
    return this.#values.push({ dtype, ...own, storage, ...more }) - 1;
  }

  input(dtype: DType, dims: readonly Extent[] | undefined, more: Partial<PlanValue> = {}): number {
    const index = this.#inputs.length;
    const value = this.value(dtype, dims, { kind: 'input', index }, { names: [`input${String(index)}`], ...more });
    this.#inputs.push(value);
    return value;
  }

  heap(dtype: DType, dims: readonly Extent[] | undefined, more: Partial<PlanValue> = {}): number {
    return this.value(dtype, dims, { kind: 'heap' }, more);
  }

  /** Behind what the arena has so far, or at a place of its own. */
  arena(dtype: DType, dims: readonly Extent[] | undefined, bytes: number, at?: number): number {
    const offset = at ?? this.#arenaBytes;
    this.#arenaBytes = Math.max(this.#arenaBytes, offset + Math.ceil(bytes / 64) * 64);
    return this.value(dtype, dims, { kind: 'arena', offset, bytes });
  }

  /** An int64 vector of extents. */
  dims(elements: readonly Extent[]): number {
    return this.value('int64', [elements.length], { kind: 'dims', elements: elements.map((e) => this.expression(e)) });
  }

  step(
    kernel: string,
    attributes: Record<string, PlanAttribute>,
    inputs: readonly OperandSpec[],
    outputs: readonly OperandSpec[],
    programs?: readonly PlanProgram[],
  ): this {
    this.#steps.push({
      kernel,
      attributes,
      inputs: inputs.map((o) => this.#operand(o)),
      outputs: outputs.map((o) => this.#operand(o)),
      ...(programs && { programs }),
      layer: { name: `layer${String(this.#steps.length)}` },
    });
    return this;
  }

  /** Elementwise over float32 (or another domain's dtype): instructions of a tape. */
  map(tape: readonly string[], inputs: readonly OperandSpec[], output: OperandSpec): this {
    return this.step('map', { tape, results: [tape.length - 1] }, inputs, [output]);
  }

  /** Ends a segment; the steps since the last one are its. */
  segment(backend = 'cpu'): this {
    const begin = this.#segments.at(-1)?.end ?? 0;
    this.#segments.push({ backend, begin, end: this.#steps.length });
    return this;
  }

  build(outputs: readonly number[]): PlanProgram {
    if ((this.#segments.at(-1)?.end ?? 0) < this.#steps.length) this.segment();
    return {
      symbols: this.#symbols,
      inherits: this.#inherits,
      expressions: this.#expressions,
      values: this.#values,
      inputs: this.#inputs,
      outputs: [...outputs],
      steps: this.#steps,
      segments: this.#segments,
      arenaBytes: this.#arenaBytes,
    };
  }

  #operand(o: OperandSpec): PlanOperand | null {
    if (o === null || typeof o === 'number') return o === null ? null : { value: o };
    return {
      value: o.value,
      ...(o.offset !== undefined && { offset: this.expression(o.offset) }),
      ...(o.dims && { dims: o.dims.map((d) => this.expression(d)) }),
      ...(o.strides && { strides: o.strides.map((d) => this.expression(d)) }),
    };
  }
}

export function float32(dims: readonly number[], values: readonly number[] | Float32Array): NativeTensor {
  return { dtype: 'float32', dims, data: Float32Array.from(values) };
}

export function int64(dims: readonly number[], values: readonly number[]): NativeTensor {
  return { dtype: 'int64', dims, data: BigInt64Array.from(values, BigInt) };
}

export function bool(value: boolean): NativeTensor {
  return { dtype: 'bool', dims: [], data: Uint8Array.of(Number(value)) };
}

/** 0, 1, 2 … as float32. */
export function counting(dims: readonly number[]): NativeTensor {
  const count = dims.reduce((p, d) => p * d, 1);
  return float32(
    dims,
    Array.from({ length: count }, (_, i) => i),
  );
}

export function numbersOf(tensor: NativeTensor | null | undefined): number[] {
  return Array.from(tensor?.data as unknown as ArrayLike<number | bigint>, Number);
}
