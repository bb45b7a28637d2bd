import { ConstantData, type DType, type GraphBuilder, tensorFromNumbers, type Value } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice, type Input } from './compare.js';
import { native } from '../src/native.js';

function isHopper(): boolean {
  const status = native().cuda.status();
  return status.available && status.devices[0]?.architecture === 'sm_90a';
}

function constant(b: GraphBuilder, dtype: DType, dims: readonly number[]): Value {
  const count = dims.reduce((p, d) => p * d, 1);
  const values = Float64Array.from({ length: count }, (_, i) => ((i * 7919 + 13) % 1009) / 504 - 1);
  return b.constant(ConstantData.of(tensorFromNumbers(dtype, values, dims)));
}

const usual = { together: 1, turns: 1, stages: 3, splits: 1, blocks: 1, swapped: 0, permuted: 1 };
type Shape = Partial<typeof usual> & { rows: number; columns: number };

interface Product {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly labels?: readonly [string, string, string];
  readonly bias?: boolean;
}

function product(dtype: DType, shape: Shape, p: Product): Promise<void> {
  const [lhs, rhs, out] = p.labels ?? ['mk', 'kn', 'mn'];
  const inputs: Input[] = [{ dtype, dims: p.x }];
  return compare({
    inputs,
    graph: (b, x) => b.op('dot', [x, constant(b, dtype, p.w)], { lhs, rhs, out }),
    force: { tactic: 'cuda.hopper', parameters: { ...usual, ...shape } },
  });
}

const shapes: readonly Shape[] = [
  { rows: 64, columns: 32 },
  { rows: 64, columns: 64, turns: 2, stages: 4 },
  { rows: 128, columns: 96, together: 2 },
  { rows: 128, columns: 64, turns: 2 },
  { rows: 256, columns: 32, together: 2, stages: 2 },
  { rows: 64, columns: 64, splits: 2 },
  { rows: 128, columns: 32, together: 2, splits: 4 },
  { rows: 64, columns: 16, swapped: 1, permuted: 0 },
  { rows: 128, columns: 24, together: 2, swapped: 1, permuted: 0, splits: 2 },
];

describe.skipIf(!hasDevice || !isHopper())('products of warpgroups', () => {
  it.each(shapes)('float16, %j', (shape) => product('float16', shape, { x: [150, 456], w: [456, 104] }));
  it('bfloat16', () => product('bfloat16', { rows: 64, columns: 64, turns: 2 }, { x: [70, 200], w: [200, 130] }));
});
