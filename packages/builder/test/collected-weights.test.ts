/** Weights of timed candidates: read once for all that read the same, and never on the spot. */

import { ConstantData, Tensor } from '@tensorwright/core';
import { describe, expect, test } from 'vitest';
import { CollectedWeights } from '../src/choose/collected-weights.js';
import { WeightSection } from '../src/plan/weights.js';

/** A constant that counts how often it is read, and cannot be read on the spot. */
function counted(values: readonly number[]): { data: ConstantData; reads: () => number } {
  let reads = 0;
  const data = new ConstantData('float32', [values.length], {
    read: () => {
      throw new Error('read on the spot');
    },
    load: () => {
      reads++;
      return Promise.resolve(new Tensor('float32', Float32Array.from(values), [values.length]));
    },
  });
  return { data, reads: () => reads };
}

const sectionOf = (...parts: readonly (ConstantData | Tensor)[]): WeightSection => {
  const section = new WeightSection();
  for (const p of parts) {
    if (p instanceof Tensor) section.addTensor(p);
    else section.addConstant(p);
  }
  return section;
};

describe('collected weights', () => {
  test('are one copy for all sections of the same constants', async () => {
    const a = counted([1, 2, 3]);
    const b = counted([4]);
    let breaths = 0;
    const collected = new CollectedWeights(() => {
      breaths++;
      return Promise.resolve();
    });
    const [first, second] = await Promise.all([
      collected.of(sectionOf(a.data, b.data)),
      collected.of(sectionOf(a.data, b.data)),
    ]);
    expect(second).toBe(first);
    expect([a.reads(), b.reads()]).toEqual([1, 1]);
    expect(breaths).toBe(2);
    expect(first.length).toBe(260);
    expect([...new Float32Array(first.buffer, 0, 3)]).toEqual([1, 2, 3]);
    expect([...new Float32Array(first.buffer, 256, 1)]).toEqual([4]);
  });

  test('differ where the sections do', async () => {
    const a = counted([1, 2, 3]);
    const b = counted([4]);
    const collected = new CollectedWeights(() => Promise.resolve());
    const packed = (v: number): Tensor => new Tensor('float32', Float32Array.of(v, v), [2]);
    const all = await Promise.all(
      [sectionOf(b.data, a.data), sectionOf(a.data), sectionOf(packed(5)), sectionOf(packed(6)), sectionOf()].map((s) =>
        collected.of(s),
      ),
    );
    expect(all.map((bytes) => [...new Float32Array(bytes.buffer)].filter((v) => v !== 0))).toEqual([
      [4, 1, 2, 3],
      [1, 2, 3],
      [5, 5],
      [6, 6],
      [],
    ]);
  });

  test('are copied in slices', async () => {
    let breaths = 0;
    const collected = new CollectedWeights(() => {
      breaths++;
      return Promise.resolve();
    });
    const large = new Tensor(
      'uint8',
      Uint8Array.from({ length: 5 << 19 }, (_, i) => i),
      [5 << 19],
    );
    const bytes = await collected.of(sectionOf(large));
    expect(breaths).toBe(3);
    expect(Buffer.compare(bytes, large.bytes)).toBe(0);
  });
});
