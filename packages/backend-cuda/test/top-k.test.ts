/** Every way of topK: ties, NaN, any axis, all widths of keys. */

import { type DType, Tensor } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice, type Input } from './compare.js';

interface Problem {
  readonly dtype?: DType;
  readonly dims: readonly number[];
  readonly k: number;
  readonly axis?: number;
  readonly largest?: boolean;
  readonly fill?: (i: number) => number;
  readonly symbols?: Input['symbols'];
}

const scattered = (i: number): number => ((i * 2654435761) >>> 8) % 100_003;
/** Few different values, some of them no numbers. */
const few = (i: number): number => [NaN, Infinity, -Infinity, -0, 0, 1.5, -2][scattered(i) % 7]!;
const bits = (i: number): number => scattered(i) % 2;

function check(
  way: string,
  { dtype = 'float32', dims, k, axis = -1, largest = true, ...more }: Problem,
): Promise<void> {
  return compare({
    inputs: [
      {
        dtype,
        dims,
        fill: more.fill ?? ((i) => scattered(i) % (dtype === 'uint8' ? 256 : 120)),
        symbols: more.symbols ?? [],
      },
    ],
    graph: (b, x) =>
      b.node('topK', [x, b.constant(new Tensor('int64', BigInt64Array.of(BigInt(k)), [1]))], { axis, largest }),
    force: { tactic: `cuda.topK.${way}`, parameters: {} },
    tolerance: 0,
  });
}

describe.skipIf(!hasDevice)('a warp to a row', () => {
  it.each([
    { dims: [37, 256], k: 8 },
    { dims: [3, 1], k: 1 },
    { dims: [2, 1024], k: 32, largest: false },
    { dims: [5, 40], k: 32, fill: few },
    { dims: [5, 40], k: 32, fill: few, largest: false },
    { dims: [4, 33, 3], k: 5, axis: 1, dtype: 'float16' },
    { dims: [7, 70], k: 9, dtype: 'int64' },
    { dims: [3, 65], k: 20, dtype: 'float64', fill: few, largest: false },
    { dims: [3, 65], k: 31, dtype: 'bool', fill: bits },
    { dims: [3, 65], k: 31, dtype: 'uint8', largest: false },
    { dims: [5, 50], k: 4, symbols: ['rows', 'elements'] },
    { dims: [0, 50], k: 4 },
  ] as Problem[])('$dims of $dtype, the best $k', (problem) => check('pick', problem));
});

describe.skipIf(!hasDevice)('rows sorted whole', () => {
  it.each([
    { dims: [37, 100], k: 60 },
    { dims: [2, 1024], k: 1000, fill: few },
    { dims: [3, 130, 2], k: 130, axis: 1, dtype: 'int32', largest: false },
    { dims: [3, 70], k: 70, dtype: 'bfloat16', fill: few, largest: false },
    { dims: [3, 500], k: 300, dtype: 'int64' },
    { dims: [5, 50], k: 40, symbols: ['rows', 'elements'] },
  ] as Problem[])('$dims of $dtype, the best $k', (problem) => check('sort', problem));
});

describe.skipIf(!hasDevice).each(['block', 'tiles', 'grid'])('rows selected from by %s', (way) => {
  it.each([
    { dims: [3, 5000], k: 50 },
    { dims: [2, 4099], k: 17, largest: false, dtype: 'float16' },
    { dims: [2, 9000], k: 5000 },
    { dims: [1, 20000], k: 33, fill: () => 0.25 },
    { dims: [1, 5000], k: 4900, fill: few },
    { dims: [2, 3000, 2], k: 700, axis: 1, fill: few, largest: false },
    { dims: [1, 20000], k: 100, dtype: 'int64', fill: () => -3 },
    { dims: [2, 6000], k: 3000, dtype: 'float64', fill: few },
    { dims: [2, 6000], k: 30, dtype: 'int64', largest: false },
    { dims: [2, 6000], k: 2000, dtype: 'bool', fill: bits },
    { dims: [2, 9001], k: 100, dtype: 'float16', fill: (i: number) => scattered(i) / 50_000 - 1 },
    { dims: [2, 6000], k: 3000, dtype: 'bfloat16', fill: few, largest: false },
    { dims: [1, 9000], k: 50, dtype: 'bfloat16', fill: (i: number) => scattered(i) / 50_000 - 1, largest: false },
    { dims: [1, 2000], k: 0 },
  ] as Problem[])('$dims of $dtype, the best $k', (problem) => check(way, problem));
});

// Whose keys are sorted in scratch memory, since they might be as many as a row has.
describe.skipIf(!hasDevice).each(['block', 'grid'])('as many as the run says, by %s', (way) => {
  it.each([0, 1, 2, 3, 5000])('%s', (k) =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [2, 9000], fill: (i) => scattered(i) },
        { dtype: 'int64', dims: [1], fill: () => k },
      ],
      graph: (b, x, count) => b.node('topK', [x, count], { axis: 1, largest: true }),
      force: { tactic: `cuda.topK.${way}`, parameters: {} },
      tolerance: 0,
    }),
  );
});
