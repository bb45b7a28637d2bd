/** The values of one run, as far as they live in TypeScript: all of them, or those between steps that do not run natively. */

import {
  type DType,
  elementCount,
  invariant,
  type PlanOperand,
  type PlanProgram,
  type RuntimeValue,
  Tensor,
  TensorwrightError,
} from '@tensorwright/core';
import { evaluateExpression } from '../plan/expressions.js';
import { checkAgreements } from './agreements.js';
import type { ProgramFacts } from './program-facts.js';
import { Canvas, type ConcreteView, readView } from './strided.js';

/** The native side of a mixed plan. */
export interface NativeValues {
  read(operand: PlanOperand): Tensor;
  write(operand: PlanOperand, tensor: Tensor): void;
}

export class ValueStore {
  readonly #program: PlanProgram;
  readonly #facts: ProgramFacts;
  readonly #symbols: Map<number, number>;
  readonly #native: NativeValues | undefined;
  readonly #values = new Map<number, RuntimeValue>();
  readonly #canvases = new Map<number, Canvas>();

  constructor(
    program: PlanProgram,
    facts: ProgramFacts,
    inputs: readonly RuntimeValue[],
    symbols: Map<number, number>,
    native: NativeValues | undefined,
  ) {
    this.#program = program;
    this.#facts = facts;
    this.#symbols = symbols;
    this.#native = native;
    program.inputs.forEach((value, i) => this.#values.set(value, inputs[i]!));
  }

  get symbols(): ReadonlyMap<number, number> {
    return this.#symbols;
  }

  read(operand: PlanOperand): RuntimeValue {
    const { value, dims, strides } = operand;
    if (!dims || !strides) return this.whole(value);
    if (this.#native && !this.#values.has(value) && this.#livesNatively(value)) return this.#native.read(operand);
    const whole = this.whole(value);
    invariant(whole instanceof Tensor, 'a view of a value that is no tensor');
    return readView(whole, this.#program.values[value]!.order, this.#view(operand, dims, strides));
  }

  /** All of a value, dense and row-major. */
  whole(value: number): RuntimeValue {
    const known = this.#values.get(value);
    if (known) return known;
    const canvas = this.#canvases.get(value);
    if (canvas) return canvas.tensor();
    const { storage, dims } = this.#program.values[value]!;
    switch (storage.kind) {
      case 'constant':
        return this.#facts.constant(value);
      case 'dims':
        return new Tensor(
          'int64',
          storage.elements.map((e) => BigInt(this.#number(e))),
          dims!.map((d) => this.#extent(d)),
        );
      case 'object':
        if (storage.strings)
          return new Tensor(
            'string',
            storage.strings,
            dims!.map((d) => this.#extent(d)),
          );
        break;
      default:
        if (this.#native) return this.#native.read({ value });
    }
    throw new TensorwrightError('ERR_INVALID_PLAN', `value ${String(value)} is read before a step has written it`, {
      value,
    });
  }

  /** Takes what a step computed. @throws ERR_SHAPE_MISMATCH when it is not what the plan expects */
  write(operand: PlanOperand, result: RuntimeValue | undefined, layer: string): void {
    const { value, dims, strides } = operand;
    const spec = this.#program.values[value]!;
    if (result === undefined)
      throw new TensorwrightError('ERR_INTERNAL', `layer '${layer}' gave no value for an output`, { layer });
    if (spec.dtype !== undefined) this.#checkTensor(result, spec.dtype, layer);
    if (!dims || !strides) {
      if (result instanceof Tensor) this.#learn(value, result, layer);
      // In native memory other steps may change it afterwards: then it is read from there.
      if (!this.#native || !this.#facts.writtenTwice(value) || !this.#livesNatively(value))
        this.#values.set(value, result);
    } else if (!this.#native || !this.#livesNatively(value)) {
      this.#paint(operand, result as Tensor, this.#view(operand, dims, strides));
    }
    if (this.#native && this.#livesNatively(value) && this.#facts.wantedNatively(value))
      this.#native.write(operand, result as Tensor);
  }

  /** Takes the symbols that a value bound when a native step made it. */
  learnFromNative(value: number): void {
    const tensor = this.whole(value);
    if (tensor instanceof Tensor) this.#bindSymbols(value, tensor);
  }

  /** Forgets values that no later step reads. */
  release(step: number): void {
    for (const value of this.#facts.lastReadBy(step)) {
      this.#values.delete(value);
      this.#canvases.delete(value);
    }
  }

  #livesNatively(value: number): boolean {
    const { storage, dtype } = this.#program.values[value]!;
    return (storage.kind === 'arena' || storage.kind === 'heap') && dtype !== 'string';
  }

  #checkTensor(result: RuntimeValue, dtype: DType, layer: string): asserts result is Tensor {
    const received = result instanceof Tensor ? result.dtype : result.kind;
    if (received !== dtype)
      throw new TensorwrightError('ERR_DTYPE_MISMATCH', `layer '${layer}': expected ${dtype}, computed ${received}`, {
        layer,
        expected: dtype,
        received,
      });
  }

  #learn(value: number, tensor: Tensor, layer: string): void {
    this.#bindSymbols(value, tensor);
    const { dims } = this.#program.values[value]!;
    if (!dims) return;
    const expected = dims.map((d) => evaluateExpression(this.#program.expressions[d]!, this.#symbols));
    if (expected.length === tensor.dims.length && expected.every((d, i) => d === undefined || d === tensor.dims[i]))
      return;
    throw new TensorwrightError(
      'ERR_SHAPE_MISMATCH',
      `layer '${layer}': expected [${expected.map((d) => d ?? '?').join(', ')}], computed [${tensor.dims.join(', ')}]`,
      {
        layer,
        expected,
        received: tensor.dims,
      },
    );
  }

  #bindSymbols(value: number, tensor: Tensor): void {
    const { binds = [] } = this.#program.values[value]!;
    if (binds.length === 0) return;
    for (const [axis, symbol] of binds) this.#symbols.set(symbol, tensor.dims[axis]!);
    checkAgreements(this.#program, this.#symbols);
  }

  #paint(operand: PlanOperand, tensor: Tensor, view: ConcreteView): void {
    const { dtype, dims, order } = this.#program.values[operand.value]!;
    let canvas = this.#canvases.get(operand.value);
    if (!canvas)
      this.#canvases.set(
        operand.value,
        (canvas = new Canvas(
          dtype!,
          dims!.map((d) => this.#extent(d)),
          order,
        )),
      );
    if (elementCount(view.dims) !== tensor.size)
      throw new TensorwrightError(
        'ERR_SHAPE_MISMATCH',
        `a step computed [${tensor.dims.join(', ')}], the plan expects [${view.dims.join(', ')}]`,
        { expected: view.dims, received: tensor.dims },
      );
    canvas.write(view, tensor);
  }

  #view(operand: PlanOperand, dims: readonly number[], strides: readonly number[]): ConcreteView {
    return {
      offset: operand.offset === undefined ? 0 : this.#number(operand.offset),
      dims: dims.map((d) => this.#extent(d)),
      strides: strides.map((s) => this.#number(s)),
    };
  }

  #number(expression: number): number {
    const code = this.#program.expressions[expression]!;
    const value = evaluateExpression(code, this.#symbols);
    if (value === undefined)
      throw new TensorwrightError(
        'ERR_INVALID_PLAN',
        `the dimension ${code.join(' ')} is needed before its symbols are known`,
        { expression },
      );
    return value;
  }

  #extent(expression: number): number {
    const extent = this.#number(expression);
    if (extent < 0)
      throw new TensorwrightError('ERR_SHAPE_MISMATCH', `an extent is negative: ${extent}`, { expression });
    return extent;
  }
}
