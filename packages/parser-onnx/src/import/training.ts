/** The optimizers of ai.onnx.preview.training: one step of Adagrad, Adam and Momentum. */

import type { Value } from '@tensorwright/core';
import { asScalar, castTo } from './elementwise.js';
import type { ImportContext, ImporterTable } from './importer.js';

/** Arithmetic in the dtype of one optimized tensor, where numbers stand for constants. */
class Arithmetic {
  readonly #c: ImportContext;
  readonly #like: Value;

  constructor(c: ImportContext, like: Value) {
    this.#c = c;
    this.#like = like;
  }

  #op(op: string, a: Value | number, b: Value | number): Value {
    return this.#c.op(op, [this.value(a), this.value(b)]);
  }

  value(v: Value | number): Value {
    const { dtype } = this.#c.type(this.#like);
    return typeof v === 'number' ? this.#c.scalar(v, dtype) : castTo(this.#c, v, dtype);
  }

  add(a: Value | number, b: Value | number): Value {
    return this.#op('add', a, b);
  }

  sub(a: Value | number, b: Value | number): Value {
    return this.#op('sub', a, b);
  }

  mul(a: Value | number, b: Value | number): Value {
    return this.#op('mul', a, b);
  }

  div(a: Value | number, b: Value | number): Value {
    return this.#op('div', a, b);
  }

  pow(a: number, b: Value): Value {
    return this.#op('pow', a, b);
  }

  sqrt(a: Value): Value {
    return this.#c.op('sqrt', [a]);
  }
}

/**
 * Calls `step` for each optimized tensor with the learning rate, the update count, and the tensor's own inputs
 * (itself, its gradient, its states). ONNX lists inputs and outputs by kind: all tensors, all gradients, …
 */
function eachTensor(
  c: ImportContext,
  kinds: number,
  step: (a: Arithmetic, rate: Value, count: Value, own: readonly Value[]) => readonly Value[],
): readonly Value[] {
  const [rate, count] = [asScalar(c, c.input(0)), asScalar(c, c.input(1))];
  const tensors = (c.inputCount - 2) / kinds;
  if (!Number.isInteger(tensors) || tensors < 1)
    c.fail(`${c.inputCount} inputs do not make ${kinds} for each optimized tensor`);
  const results: (readonly Value[])[] = [];
  for (let i = 0; i < tensors; i++) {
    const own = Array.from({ length: kinds }, (_, k) => c.input(2 + k * tensors + i));
    results.push(step(new Arithmetic(c, own[0]!), rate, count, own));
  }
  return results[0]!.flatMap((_, k) => results.map((r) => r[k]!));
}

function adagrad(c: ImportContext): readonly Value[] {
  const [decay, epsilon, norm] = [c.float('decay_factor', 0), c.float('epsilon', 0), c.float('norm_coefficient', 0)];
  return eachTensor(c, 3, (a, rate, count, [x, gradient, squares]) => {
    const adjusted = a.div(rate, a.add(1, a.mul(count, decay)));
    const g = a.add(a.mul(norm, x!), gradient!);
    const newSquares = a.add(squares!, a.mul(g, g));
    return [a.sub(x!, a.div(a.mul(adjusted, g), a.add(a.sqrt(newSquares), epsilon))), newSquares];
  });
}

function adam(c: ImportContext): readonly Value[] {
  const [alpha, beta, epsilon] = [c.float('alpha', 0.9), c.float('beta', 0.999), c.float('epsilon', 0)];
  const [norm, normPost] = [c.float('norm_coefficient', 0), c.float('norm_coefficient_post', 0)];
  return eachTensor(c, 4, (a, rate, count, [x, gradient, momentum, squares]) => {
    const g = a.add(a.mul(norm, x!), gradient!);
    const newMomentum = a.add(a.mul(alpha, momentum!), a.mul(1 - alpha, g));
    const newSquares = a.add(a.mul(beta, squares!), a.mul(1 - beta, a.mul(g, g)));
    const corrected = a.div(a.mul(rate, a.sqrt(a.sub(1, a.pow(beta, count)))), a.sub(1, a.pow(alpha, count)));
    const started = c.op('greater', [count, c.scalar(0, c.type(count).dtype)]);
    const adjusted = c.op('where', [started, corrected, a.value(rate)]);
    const moved = a.sub(x!, a.mul(adjusted, a.div(newMomentum, a.add(a.sqrt(newSquares), epsilon))));
    return [a.mul(1 - normPost, moved), newMomentum, newSquares];
  });
}

function momentum(c: ImportContext): readonly Value[] {
  const [alpha, beta, norm] = [c.float('alpha', 0), c.float('beta', 0), c.float('norm_coefficient', 0)];
  const mode = c.string('mode', '');
  if (mode !== 'standard' && mode !== 'nesterov') c.fail(`attribute 'mode' must be standard or nesterov, is '${mode}'`);
  return eachTensor(c, 3, (a, rate, count, [x, gradient, velocity]) => {
    const g = a.add(a.mul(norm, x!), gradient!);
    const started = c.op('greater', [count, c.scalar(0, c.type(count).dtype)]);
    const share = c.op('where', [started, a.value(beta), a.value(1)]);
    const newVelocity = a.add(a.mul(alpha, velocity!), a.mul(share, g));
    const direction = mode === 'standard' ? newVelocity : a.add(g, a.mul(alpha, newVelocity));
    return [a.sub(x!, a.mul(rate, direction)), newVelocity];
  });
}

export const trainingImporters: ImporterTable = { Adagrad: adagrad, Adam: adam, Momentum: momentum };
