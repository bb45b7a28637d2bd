/** What an output is like, where there is nothing to compare it with. */

import { elementCount, type RuntimeValue, Tensor } from '@tensorwright/core';
import { describe, numbersOf, parts } from './difference.js';

export interface Summary {
  readonly name: string;
  readonly type: string;
  readonly elements: number;
  /** Of the finite elements; NaN where there are none. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly notFinite: number;
}

/** Values that are no tensors give one summary per tensor in them. */
export function summaries(name: string, value: RuntimeValue | undefined): Summary[] {
  if (!(value instanceof Tensor))
    return (parts(value) ?? []).flatMap(([key, item]) => summaries(`${name}[${key}]`, item));
  const numbers = value.dtype === 'string' ? [] : numbersOf(value);
  let [min, max, sum, finite] = [Infinity, -Infinity, 0, 0];
  for (let i = 0; i < numbers.length; i++) {
    const x = numbers[i]!;
    if (!Number.isFinite(x)) continue;
    finite++;
    sum += x;
    min = Math.min(min, x);
    max = Math.max(max, x);
  }
  const of = (x: number): number => (finite === 0 ? NaN : x);
  return [
    {
      name,
      type: describe(value),
      elements: elementCount(value.dims),
      min: of(min),
      max: of(max),
      mean: of(sum / finite),
      notFinite: numbers.length - finite,
    },
  ];
}
