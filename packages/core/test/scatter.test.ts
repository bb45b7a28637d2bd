/** What scattering makes of integers whose products do not fit a double. */

import { evaluateGraph, GraphBuilder, Tensor, tensorType } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';

describe('scatterElements', () => {
  it.each([
    ['int32', Int32Array],
    ['uint32', Uint32Array],
  ] as const)('multiplies %s as it wraps', (dtype, Values) => {
    const factors = [0x7fff_fff1, 0x7654_3211, 0x0fed_cba9, 0x7abc_def1];
    const b = new GraphBuilder();
    const inputs = [
      b.input('data', tensorType(dtype, [1])),
      b.input('at', tensorType('int64', [factors.length])),
      b.input('by', tensorType(dtype, [factors.length])),
    ];
    const y = b.op('scatterElements', inputs, { axis: 0, reduction: 'mul' });
    const [found] = evaluateGraph({ inputs, outputs: [y] }, [
      new Tensor(dtype, Values.of(3), [1]),
      new Tensor('int64', new BigInt64Array(factors.length), [factors.length]),
      new Tensor(dtype, Values.from(factors), [factors.length]),
    ]);
    const exact = factors.reduce((product, f) => product * BigInt(f), 3n);
    const wrapped = dtype === 'int32' ? BigInt.asIntN(32, exact) : BigInt.asUintN(32, exact);
    expect([...((found as Tensor).data as Int32Array)]).toEqual([Number(wrapped)]);
  });
});
