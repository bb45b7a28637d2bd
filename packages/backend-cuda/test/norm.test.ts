import type { DType } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice, type Input } from './compare.js';

const norm = (
  op: string,
  dtype: DType,
  dims: readonly number[],
  coefficients: readonly number[],
  attributes: Record<string, unknown> = {},
  view = false,
): Promise<void> => {
  const inputs: Input[] = [
    // Far from zero: what squares without a mean would lose.
    { dtype, dims, fill: (i) => 8 + ((i * 7919) % 1013) / 500 },
    { dtype, dims: coefficients },
    ...(op === 'rmsNorm' ? [] : [{ dtype, dims: coefficients }]),
  ];
  return compare({
    inputs,
    graph: (b, x, ...rest) => {
      const order = dims.map((_, i) => i);
      const perm = [0, ...order.slice(2), 1];
      const inverse = order.map((i) => perm.indexOf(i));
      // The same values, channels last.
      const y = view ? b.op('transpose', [b.op('neg', [b.op('transpose', [x], { perm })])], { perm: inverse }) : x;
      return b.node(op, [y, ...rest], attributes as never);
    },
    ...(dtype === 'float32' && { tolerance: 4e-6 }),
  });
};

describe.skipIf(!hasDevice)('normalization', () => {
  it.each([
    ['layerNorm', 'float32', [3, 5, 40], [40], {}],
    ['layerNorm', 'float16', [9, 768], [768], {}],
    ['layerNorm', 'bfloat16', [4, 3, 7], [3, 7], { axis: 1 }],
    ['layerNorm', 'float32', [2, 33, 65], [33, 65], { axis: -2 }],
    ['layerNorm', 'float64', [3, 50], [50], { epsilon: 1e-3 }],
    ['layerNorm', 'float16', [2, 3, 40], [3, 1], { axis: 2 }],
    ['layerNorm', 'float32', [5, 24], [24], { statistics: true }],
    ['layerNorm', 'float16', [2, 70000], [1], { statistics: true }],
    ['layerNorm', 'float16', [70, 37001], [1], {}],
    ['rmsNorm', 'float16', [5, 4096], [4096], {}],
    ['rmsNorm', 'float32', [2, 3, 11], [11], {}],
    ['groupNorm', 'float32', [2, 12, 5, 5], [12], { numGroups: 4 }],
    ['groupNorm', 'float16', [1, 32, 64, 65], [32], { numGroups: 2 }],
    ['instanceNorm', 'float32', [2, 3, 9, 7], [3], {}],
    ['instanceNorm', 'float16', [1, 8, 300], [8], {}],
  ] as [string, DType, number[], number[], Record<string, unknown>][])('%s of %s %j by %j %j', (...all) =>
    norm(...all),
  );

  it.each([
    ['layerNorm', [3, 13, 40], ['n', 'm'], 40, {}],
    ['groupNorm', [3, 12, 13, 13], ['n', undefined, 'm', 'm'], 12, { numGroups: 3 }],
    ['instanceNorm', [3, 8, 13], ['n', undefined, 'm'], 8, {}],
  ] as [string, number[], (string | undefined)[], number, Record<string, unknown>][])(
    '%s of %j, extents that only the run knows',
    (op, dims, symbols, width, attributes) =>
      compare({
        inputs: [
          { dtype: 'float32', dims, symbols },
          { dtype: 'float32', dims: [width] },
          { dtype: 'float32', dims: [width] },
        ],
        graph: (b, ...inputs) => b.op(op, inputs, attributes as never),
        tolerance: 4e-6,
      }),
  );

  it.each([
    ['groupNorm', 'float16', [2, 16, 9, 7], [16], { numGroups: 4 }],
    ['instanceNorm', 'float32', [1, 16, 9, 70], [16], {}],
    ['instanceNorm', 'float16', [3, 512, 4, 4], [512], {}],
    ['layerNorm', 'float32', [2, 20, 30], [20, 30], { axis: 1 }],
  ] as [string, DType, number[], number[], Record<string, unknown>][])(
    '%s of %s %j, channels last',
    (op, dtype, dims, coefficients, attributes) => norm(op, dtype, dims, coefficients, attributes, true),
  );
});
