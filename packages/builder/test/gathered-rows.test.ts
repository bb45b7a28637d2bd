/** Tables of rows in place of slices, concats and transposes: what the rule makes of them, and what it leaves alone. */

import { constantOf, GraphBuilder, rewriteGraph, tensorType, type Value } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { gatheredRows } from '../src/passes/canonicalise/gathered-rows.js';

function shifted(rows: number): Value {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', [1, rows, 8]));
  const part = (start: number, size: number): Value =>
    b.op('slice', [x], { starts: [0, start, 0], sizes: [1, size, 8], steps: [1, 1, 1] });
  const out = b.op('concat', [part(1, rows - 1), part(0, 1)], { axis: 1 });
  return rewriteGraph({ inputs: [x], outputs: [out] }, b, [gatheredRows]).outputs[0]!;
}

describe('a shift by one row', () => {
  it.each([5, 2 ** 16])('of %i is a table', (rows) => {
    const { op, inputs } = shifted(rows).node;
    expect(op).toBe('gather');
    const indices = constantOf(inputs[1])!.data as Int32Array;
    expect(indices).toHaveLength(rows);
    expect([...indices.slice(0, 3), indices.at(-1)]).toEqual([1, 2, 3, 0]);
  });

  it('stays as it is where its table would keep others waiting', () => {
    expect(shifted(2 ** 18).node.op).toBe('concat');
  });
});
