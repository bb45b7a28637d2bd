/** Numbers that look random and are the same in every run. */

import { elementCount } from '@tensorwright/core';
import type { Operand } from './case.js';

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to 1 (xorshift of Marsaglia over a Weyl sequence). */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let x = this.#state ^ (this.#state >>> 16);
    x = Math.imul(x, 0x21f0aaad);
    x ^= x >>> 15;
    x = Math.imul(x, 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  }

  /** An integer from 0 up to `end`, which is none of them. */
  integer(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** Numbers between `low` and `high`. */
  numbers(count: number, low = -1, high = 1): Float64Array {
    return Float64Array.from({ length: count }, () => low + (high - low) * this.next());
  }

  /** An operand of floats between `low` and `high`. */
  floats(dims: readonly number[], low = -1, high = 1): Operand {
    return { dtype: 'float', dims, values: this.numbers(elementCount(dims), low, high) };
  }

  /** An operand of integers from 0 up to `end`. */
  integers(dims: readonly number[], end: number, dtype: 'int32' | 'int64' = 'int32'): Operand {
    return { dtype, dims, values: Float64Array.from({ length: elementCount(dims) }, () => this.integer(end)) };
  }
}
