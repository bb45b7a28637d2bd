/** Value facts of elementwise operators and reductions: what they claim must hold for every value of the symbols. */

import {
  createSymbol,
  type Dim,
  type DType,
  evaluateDim,
  evaluateGraph,
  GraphBuilder,
  inferFacts,
  readNumbers,
  symbolDim,
  Tensor,
  tensorFromNumbers,
  type Value,
} from '@tensorwright/core';
import { describe, expect, it } from 'vitest';

const n = createSymbol('n', { min: 1, max: 64 });
const m = createSymbol('m', { min: 2, max: 9 });

/** Compares the facts of a value with its evaluation, for some values of n and m. */
function check(
  make: (b: GraphBuilder, x: Value) => Value,
  elements: readonly Dim[] = [symbolDim(n), 6, symbolDim(m)],
  expectKnown = true,
): void {
  const b = new GraphBuilder();
  const value = make(b, b.dims(elements));
  const facts = inferFacts(value);
  expect(facts !== undefined, 'known').toBe(expectKnown);
  if (!facts) return;
  for (const symbols of [
    new Map([
      [n, 1],
      [m, 2],
    ]),
    new Map([
      [n, 64],
      [m, 9],
    ]),
    new Map([
      [n, 7],
      [m, 3],
    ]),
  ]) {
    const [actual] = evaluateGraph({ inputs: [], outputs: [value] }, [], { symbols: new Map(symbols) });
    expect(facts.map((d) => evaluateDim(d, (s) => symbols.get(s)))).toEqual(Array.from(readNumbers(actual as Tensor)));
  }
}

const constant = (b: GraphBuilder, dtype: DType, ...values: number[]): Value =>
  b.constant(tensorFromNumbers(dtype, values, values.length === 1 ? [] : [values.length]));

describe('facts agree with evaluation', () => {
  for (const op of ['add', 'sub', 'mul', 'div', 'min', 'max', 'mod']) {
    it(op, () => {
      check((b, x) => b.op(op, [x, constant(b, 'int64', 3)]));
    });
  }
  it('neg, abs, sign', () => {
    check((b, x) => b.op('abs', [b.op('neg', [x])]));
    check((b, x) => b.op('sign', [x]));
  });
  it('comparisons that the bounds decide', () => {
    for (const op of ['less', 'lessOrEqual', 'greater', 'greaterOrEqual', 'equal']) {
      check((b, x) => b.op(op, [x, constant(b, 'int64', 100)]));
      check((b, x) => b.op(op, [x, constant(b, 'int64', 5)]), undefined, false);
    }
  });
  it('where', () => {
    check((b, x) => b.op('where', [b.op('equal', [x, constant(b, 'int64', -1)]), constant(b, 'int64', 0), x]));
  });
  it('reductions', () => {
    for (const monoid of ['sum', 'prod', 'max', 'min'])
      check((b, x) => b.op('reduce', [x], { monoid, axes: [0], keepdims: false }));
  });
  it('broadcasting', () => {
    check((b, x) => b.op('mul', [b.op('reshape', [x], { dims: [3, 1] }), constant(b, 'int64', 1, 2)]));
  });
  it('casts that keep the value', () => {
    check((b, x) => b.op('cast', [x], { to: 'int32' }));
    check((b, x) => b.op('cast', [b.op('mul', [x, constant(b, 'int64', 1000)])], { to: 'int8' }), undefined, false);
  });
  it('sizes scaled in float32', () => {
    check((b, x) =>
      b.op('cast', [b.op('floor', [b.op('mul', [b.op('cast', [x], { to: 'float32' }), constant(b, 'float32', 2)])])], {
        to: 'int64',
      }),
    );
    check(
      (b, x) =>
        b.op('cast', [b.op('mul', [b.op('cast', [x], { to: 'float32' }), constant(b, 'float32', 0.5)])], {
          to: 'int64',
        }),
      undefined,
      false,
    );
  });
  it('a negative divided rounds towards zero', () => {
    check((b, x) => b.op('div', [x, constant(b, 'int64', 2)]), [-7, 7, -1]);
  });
});

it('a float zero is never a fact: it may be negative', () => {
  const b = new GraphBuilder();
  expect(inferFacts(b.op('neg', [b.constant(new Tensor('float32', [0]))]))).toBeUndefined();
  expect(inferFacts(b.constant(new Tensor('float32', [-0])))).toBeUndefined();
});
