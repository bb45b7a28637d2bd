/** nonMaxSuppression on lists of boxes at random: many equal scores and boxes, and overlaps that are just the threshold. */

import { Builder } from '@tensorwright/builder';
import {
  createSymbol,
  evaluateNode,
  GraphBuilder,
  type Network,
  readNumbers,
  symbolDim,
  Tensor,
  tensorFromNumbers,
  tensorType,
} from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';

interface Kind {
  /** The most boxes of a list, if it is known when the kernels are made. */
  readonly most?: number;
  readonly centred?: boolean;
  readonly half?: boolean;
  readonly withLeastScore?: boolean;
}

/** Whole numbers below `end`, and one of several. */
class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  below(end: number): number {
    this.#state = (Math.imul(this.#state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((this.#state / 2 ** 31) * end);
  }
  oneOf<T>(...values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

function boxesAtRandom(r: Random, count: number, centred: boolean): number[] {
  const area = r.oneOf(4, 8, 16, 64, 1000);
  const size = r.oneOf(3, 6, 20);
  const scale = r.oneOf(1, 1, 1 / 3, 0.1);
  const odd = r.below(6);
  const boxes: number[] = [];
  for (let i = 0; i < count; i++) {
    if (i > 0 && r.below(10) === 0) {
      const same = 4 * r.below(i);
      boxes.push(...boxes.slice(same, same + 4));
      continue;
    }
    const [x, y] = [r.below(area) * scale, r.below(area) * scale];
    // Also of no extent, and of a negative one.
    const [width, height] = [r.below(size) + (odd === 1 ? -1 : 1), r.below(size) + (odd === 1 ? -1 : 1)];
    const box = centred ? [x, y, width, height] : [x, y, x + width, y + height];
    if (!centred && r.below(2) === 0) [box[0], box[2]] = [box[2]!, box[0]!];
    if (odd === 0 && r.below(20) === 0) box[r.below(4)] = r.oneOf(NaN, Infinity, -Infinity, 3e38, -1e30, 1e-40);
    boxes.push(...box);
  }
  return boxes;
}

async function compareMany(cases: number, counts: readonly number[], kind: Kind): Promise<void> {
  const b = new GraphBuilder();
  const [images, classes] = [symbolDim(createSymbol('images')), symbolDim(createSymbol('classes'))];
  const boxes = symbolDim(createSymbol('boxes', kind.most === undefined ? {} : { max: kind.most }));
  const dtype = kind.half === true ? 'float16' : 'float32';
  const inputs = [
    tensorType('float32', [images, boxes, 4]),
    tensorType(dtype, [images, classes, boxes]),
    tensorType('int64', []),
    tensorType('float32', []),
    ...(kind.withLeastScore === true ? [tensorType('float32', [])] : []),
  ].map((type, i) => b.input(`x${String(i)}`, type));
  const output = b.op('nonMaxSuppression', inputs, { centerPointBox: kind.centred === true ? 1 : 0 });
  const network = {
    name: 'test',
    graph: { inputs, outputs: [output] },
    builder: b,
    inputs: inputs.map((value) => ({ name: value.node.attributes['name'] as string, value })),
    outputs: [{ name: 'y', value: output }],
    metadata: {},
    opsets: {},
  } as unknown as Network;
  const plan = await new Builder().build(network, { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  expect(plan.header.report.fallbacks).toEqual([]);
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext();
  let kept = 0;
  for (let seed = 1; seed <= cases; seed++) {
    const r = new Random(seed * 7919);
    const [n, c, count] = [r.oneOf(0, 1, 1, 2, 3), r.oneOf(0, 1, 2, 3, 5), r.oneOf(...counts)];
    const levels = r.oneOf(1, 2, 5, 50, 2000);
    const scores = Array.from({ length: n * c * count }, () =>
      r.below(40) === 0 ? r.oneOf(-0, 0, Infinity, -Infinity) : r.below(levels) / levels - 0.25,
    );
    const coordinates = Array.from({ length: n }, () => boxesAtRandom(r, count, kind.centred === true)).flat();
    const limit = r.oneOf(0, -1, 1, 5, 20, 127, 128, 129, 300, 2 ** 40);
    const threshold = r.oneOf(0, 0, -0.5, 1 / 7, 0.2, 0.25, 1 / 3, 0.5, 0.5, 2 / 3, 0.75, 1, 1.5);
    const tensors = [
      tensorFromNumbers('float32', coordinates, [n, count, 4]),
      tensorFromNumbers(dtype, scores, [n, c, count]),
      new Tensor('int64', BigInt64Array.of(BigInt(limit)), []),
      tensorFromNumbers('float32', [threshold], []),
      ...(kind.withLeastScore === true ? [tensorFromNumbers('float32', [r.oneOf(-Infinity, 0, 0.2, 0.5, 2)], [])] : []),
    ];
    const [wanted] = evaluateNode(output.node, tensors) as [Tensor];
    const { y } = await context.run(Object.fromEntries(inputs.map((_, i) => [`x${String(i)}`, tensors[i]!])));
    expect(y!.dims, `case ${String(seed)}`).toEqual(wanted.dims);
    expect(readNumbers(y!), `case ${String(seed)}`).toEqual(readNumbers(wanted));
    kept += wanted.dims[0]!;
  }
  expect(kept).toBeGreaterThan(cases);
}

describe.skipIf(!hasDevice)('overlapping boxes', () => {
  const few = [0, 1, 2, 31, 33, 127, 128, 129, 256, 257, 300];
  it('lists of any length, by corners', () => compareMany(60, few, { withLeastScore: true }));
  it('short lists, by corners, scores of 16 bits', () => compareMany(60, few, { most: 300, half: true }));
  it('by centres', () => compareMany(60, few, { most: 5000, centred: true, withLeastScore: true }));
  it('more than a block sorts', () => compareMany(8, [4096, 4097, 8500], { withLeastScore: true }));
});
