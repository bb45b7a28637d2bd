/** What a plan carries of extents that must agree: each pair once, as expressions that are equal where they do. */

import {
  addDims,
  type Agreement,
  createSymbol,
  type Dim,
  evaluateDim,
  GraphBuilder,
  parsePlanExpression,
  symbolDim,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { collectAgreements, type NamedAgreement, planAgreements } from '../src/plan/agreements.js';
import { ExpressionTable } from '../src/plan/expressions.js';

const symbols = ['n', 'm'].map((name) => createSymbol(name, { min: 0, max: 9 }));
const [n, m] = symbols.map(symbolDim) as [Dim, Dim];

function asked(make: (b: GraphBuilder, ...inputs: Value[]) => Value[]): readonly NamedAgreement[] {
  const b = new GraphBuilder();
  const inputs = [n, m].map((d, i) => b.input(`x${String(i)}`, tensorType('float32', [d, 4])));
  return collectAgreements([{ inputs, outputs: make(b, ...inputs) }], b.provenance);
}

const product = (b: GraphBuilder, x: Value, y: Value): Value =>
  b.op('dot', [x, y], { lhs: 'ki', rhs: 'kj', out: 'ij' });

describe('agreements of a network', () => {
  it('are the same both ways round', () => {
    const both = asked((b, x, y) => [b.op('add', [x, y]), b.op('mul', [y, x])]);
    expect(both.map((a) => a.mayBeOne)).toEqual(['either']);
    const products = asked((b, x, y) => [product(b, x, y), product(b, y, x)]);
    expect(products.map((a) => a.mayBeOne)).toEqual(['neither']);
  });

  it('say nothing twice: what is equal broadcasts', () => {
    const found = asked((b, x, y) => [b.op('add', [x, y]), product(b, y, x)]);
    expect(found.map((a) => a.mayBeOne)).toEqual(['neither']);
  });
});

describe.each<[Agreement['mayBeOne'], (a: number, b: number) => boolean]>([
  ['neither', (a, b) => a === b],
  ['either', (a, b) => a === b || a === 1 || b === 1],
  ['right', (a, b) => a === b || b === 1],
])('an agreement where %s may be 1', (mayBeOne, agrees) => {
  // Extents that are sums of others, too.
  const cases: readonly [Dim, Dim, (a: number, b: number) => readonly [number, number]][] = [
    [n, m, (a, b) => [a, b]],
    [addDims(n, 1), m, (a, b) => [a + 1, b]],
  ];

  it.each(cases)('holds for the extents that it should: case %#', (left, right, extents) => {
    const table = new ExpressionTable();
    const [agreement] = planAgreements([{ left, right, mayBeOne, what: 'rows', names: ['x', 'y'] }], () => true, table);
    const side = (which: 'left' | 'right', a: number, b: number): number => {
      const code = table.expressions[agreement![which]]!;
      const values = new Map([
        [symbols[0]!, a],
        [symbols[1]!, b],
      ]);
      return evaluateDim(
        parsePlanExpression(code, (s) => table.symbols[s]!),
        (s) => values.get(s),
      );
    };
    for (let a = 0; a < 5; a++) {
      for (let b = 0; b < 5; b++) {
        const [l, r] = [side('left', a, b), side('right', a, b)];
        const [x, y] = extents(a, b);
        expect(l === r).toBe(agrees(x, y));
        // Messages name the extents themselves.
        if (l !== r) expect([l, r]).toEqual([x, y]);
      }
    }
  });
});
