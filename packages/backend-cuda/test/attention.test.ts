import { type DType, type Value } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice, type Input } from './compare.js';
import { attention, type Case } from './support/attention-case.js';

const cases: readonly [string, Case][] = [
  ['one block', { heads: 2, queries: 33, size: 64 }],
  ['several blocks', { heads: 1, queries: 40, keys: 150, size: 32, shape: { keys: 32, one: 0 } }],
  ['odd sizes', { batch: 2, heads: 3, queries: 7, keys: 19, size: 20, valueSize: 44 }],
  ['heads of one column', { heads: 1, queries: 3, keys: 5, size: 1, valueSize: 7 }],
  ['wide heads', { heads: 1, queries: 20, keys: 70, size: 256 }],
  ['heads of 80', { heads: 1, queries: 18, keys: 50, size: 80, valueSize: 16 }],
  ['causal', { heads: 2, queries: 70, size: 16, attributes: { isCausal: true } }],
  [
    'causal with an offset, windows and a soft cap',
    {
      heads: 1,
      queries: 40,
      keys: 90,
      size: 16,
      attributes: { isCausal: true, causalOffset: 50, leftWindow: 30, softcap: 2, scale: 0.7 },
      shape: { keys: 32, one: 0 },
    },
  ],
  ['a right window', { heads: 1, queries: 20, keys: 60, size: 16, attributes: { rightWindow: 3, leftWindow: 5 } }],
  [
    'a boolean mask that is too short',
    {
      heads: 2,
      queries: 5,
      keys: 20,
      size: 16,
      mask: { dtype: 'bool', dims: [5, 17], fill: (i) => Number(i % 3 > 0) },
    },
  ],
  [
    'an additive mask over keys',
    {
      batch: 2,
      heads: 2,
      queries: 9,
      keys: 24,
      size: 16,
      mask: { dtype: 'float32', dims: [2, 1, 1, 24], fill: (i) => (i % 5 === 0 ? -Infinity : (i % 7) / 3) },
    },
  ],
  [
    'an additive mask of each head',
    { heads: 3, queries: 9, keys: 21, size: 16, mask: { dtype: 'float16', dims: [1, 3, 9, 21] } },
  ],
  [
    'rows without any key',
    { heads: 1, queries: 6, keys: 20, size: 16, mask: { dtype: 'bool', dims: [6, 20], fill: (i) => Number(i >= 40) } },
  ],
  [
    'lengths and offsets',
    {
      batch: 3,
      heads: 2,
      queries: 8,
      keys: 40,
      size: 16,
      lengths: [40, 7, 0],
      offsets: [32, 2, 0],
      attributes: { isCausal: true },
    },
  ],
  ['sinks', { heads: 4, keyHeads: 2, queries: 20, keys: 33, size: 16, sinks: true }],
  [
    'grouped heads, packed',
    { heads: 6, keyHeads: 2, queries: 3, keys: 50, size: 32, attributes: { isCausal: true, causalOffset: 47 } },
  ],
  ['no keys', { heads: 1, queries: 3, keys: 0, size: 16 }],
  [
    'split keys',
    {
      batch: 2,
      heads: 4,
      keyHeads: 2,
      queries: 1,
      keys: 600,
      size: 64,
      lengths: [600, 70],
      sinks: true,
      shape: { splits: 4, keys: 32, one: 0 },
    },
  ],
];

describe.skipIf(!hasDevice)('attention', () => {
  it.each(cases)('float16: %s', (_, c) => attention('float16', c));
  it.each(cases)('float32: %s', (_, c) => attention('float32', c));
  it('bfloat16', () => attention('bfloat16', { heads: 2, queries: 20, keys: 40, size: 32 }));

  it.each([
    { warps: 4, tiles: 2, keys: 32, one: 0, splits: 1 },
    { warps: 2, tiles: 1, keys: 112, one: 1, splits: 1 },
    { warps: 8, tiles: 1, keys: 16, one: 0, splits: 2 },
    { warps: 1, tiles: 2, keys: 64, one: 0, splits: 1 },
    { warps: 4, tiles: 2, keys: 64, one: 0, splits: 1, keyWarps: 4 },
    { warps: 8, tiles: 1, keys: 128, one: 1, splits: 1, keyWarps: 4 },
    { warps: 8, tiles: 1, keys: 128, one: 1, splits: 1, keyWarps: 8 },
    { warps: 12, tiles: 1, keys: 64, one: 0, splits: 1, keyWarps: 4 },
  ])('float16 in blocks of %j', (shape) =>
    attention('float16', { heads: 2, queries: 150, keys: 100, size: 32, valueSize: 48, shape }),
  );
  const parted = { warps: 4, tiles: 1, splits: 1, keyWarps: 4, keys: 64 };
  it.each(cases.filter(([, c]) => c.shape === undefined && c.size <= 64 && c.queries > 1))(
    'float16, keys divided among warps: %s',
    (_, c) => attention('float16', { ...c, shape: { ...parted, one: Number((c.keys ?? c.queries) <= 64) } }),
  );
  it('float16, long keys divided among warps', () =>
    attention('float16', {
      batch: 2,
      heads: 2,
      queries: 40,
      keys: 300,
      size: 64,
      mask: { dtype: 'float16', dims: [2, 1, 1, 290] },
      sinks: true,
      shape: { ...parted, tiles: 2, keys: 128, one: 0 },
    }));
  it.each([
    { tiles: 4, keys: 64, splits: 1 },
    { tiles: 2, keys: 16, splits: 3 },
  ])('float32 in blocks of %j', (shape) =>
    attention('float32', { heads: 2, queries: 70, keys: 100, size: 32, valueSize: 64, shape }),
  );

  it.each(['float16', 'float32'] as DType[])('takes %s of lengths that only the run knows', (dtype) =>
    compare({
      inputs: [
        { dtype, dims: [2, 2, 37, 16], symbols: ['b', undefined, 'l'] },
        { dtype, dims: [2, 2, 90, 16], symbols: ['b', undefined, 's'] },
        { dtype, dims: [2, 2, 90, 24], symbols: ['b', undefined, 's'] },
        { dtype, dims: [2, 1, 1, 90], symbols: ['b', undefined, undefined, 's'] },
      ],
      graph: (b, ...inputs) => b.op('attention', inputs, { isCausal: true, causalOffset: 50 }),
    }),
  );

  it.each(['float16', 'float32'] as DType[])('reads the heads of one %s product', (dtype) =>
    compare({
      inputs: [{ dtype, dims: [2, 20, 96] }],
      graph: (b, x) => {
        const product = b.op('reshape', [b.op('neg', [x])], { dims: [2, 20, 3, 2, 16] });
        const part = (i: number): Value => {
          const slice = b.op('slice', [product], {
            starts: [0, 0, i, 0, 0],
            sizes: [2, 20, 1, 2, 16],
            steps: [1, 1, 1, 1, 1],
          });
          return b.op('transpose', [b.op('reshape', [slice], { dims: [2, 20, 2, 16] })], { perm: [0, 2, 1, 3] });
        };
        const y = b.op('attention', [part(0), part(1), part(2)], {});
        return b.op('reshape', [b.op('transpose', [y], { perm: [0, 2, 1, 3] })], { dims: [2, 20, 32] });
      },
    }),
  );
});

describe.skipIf(!hasDevice)('rotaryEmbedding', () => {
  it.each([
    ['float32', [2, 3, 5, 16], [1, 5, 8], false],
    ['float16', [1, 2, 4, 32], [1, 4, 8], false],
    ['float16', [2, 3, 5, 10], [2, 5, 3], true],
  ] as [DType, number[], number[], boolean][])('of %s %j by %j, interleaved %s', (dtype, dims, angles, interleaved) =>
    compare({
      inputs: [
        { dtype, dims },
        { dtype, dims: angles },
        { dtype, dims: angles },
      ],
      graph: (b, ...inputs) => b.op('rotaryEmbedding', inputs, { interleaved }),
    }),
  );
});

describe.skipIf(!hasDevice)('attentionScores', () => {
  it.each([
    ['raw', 'float16'],
    ['softcapped', 'float32'],
    ['masked', 'float32'],
    ['probabilities', 'float16'],
  ] as [string, DType][])('%s in %s', (stage, dtype) =>
    compare({
      inputs: [
        { dtype, dims: [2, 4, 5, 12] },
        { dtype, dims: [2, 2, 21, 12] },
        { dtype: 'bool', dims: [5, 20] },
        { dtype: 'int64', dims: [2], fill: (i) => [20, 4][i]! },
      ],
      graph: (b, ...inputs) =>
        b.op('attentionScores', inputs, { stage, softcap: 1.5, isCausal: true, causalOffset: 12 }),
    }),
  );
});

describe.skipIf(!hasDevice)('linearAttention', () => {
  it.each([
    ['linear', 'float32', 2],
    ['gated', 'float16', 2],
    ['delta', 'float32', 1],
    ['gated_delta', 'float32', 16],
  ] as [string, DType, number][])('by the rule %s in %s', (updateRule, dtype, decayWidth) => {
    const input = (...dims: number[]): Input => ({ dtype, dims, fill: (i) => ((i * 7919) % 101) / 100 - 0.5 });
    const decay = updateRule.startsWith('gated') ? [input(2, 7, decayWidth)] : [];
    const beta = updateRule.endsWith('delta') ? [input(2, 7, 2)] : [];
    return compare({
      inputs: [input(2, 7, 32), input(2, 7, 16), input(2, 7, 140), input(2, 2, 8, 70), ...decay, ...beta],
      graph: (b, q, k, v, past, ...rest) => {
        const optional = [
          ...(decay.length > 0 ? rest.slice(0, 1) : [undefined]),
          ...(beta.length > 0 ? rest.slice(-1) : []),
        ];
        while (optional.length > 0 && optional.at(-1) === undefined) optional.pop();
        return b.node('linearAttention', [q, k, v, past, ...optional], { qNumHeads: 4, kvNumHeads: 2, updateRule });
      },
      ...(dtype === 'float16' && { tolerance: 2e-3 }),
    });
  });
});
