import { type DType, type Value } from '@tensorwright/core';
import { describe, it, vi } from 'vitest';
import { native } from '../src/native.js';
import { compare, hasDevice } from './compare.js';
import { attention, type Case } from './support/attention-case.js';

// Read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

function isHopper(): boolean {
  const status = native().cuda.status();
  return status.available && status.devices[0]?.architecture === 'sm_90a';
}

const tactic = 'cuda.attentionHopper';
const whole = { groups: 1, ring: 0, moves: 0, blocks: 1 };
const ring = { groups: 2, stages: 2, ring: 1, moves: 0, blocks: 1 };

const cases: readonly [string, Case][] = [
  ['one block of keys', { heads: 2, queries: 197, size: 64, shape: { ...whole, keys: 208, stages: 1 } }],
  ['a stage for each block', { heads: 1, queries: 150, size: 64, shape: { ...whole, groups: 2, keys: 64, stages: 3 } }],
  ['a ring', { batch: 2, heads: 2, queries: 140, keys: 333, size: 64, shape: { ...ring, keys: 48 } }],
  ['a ring of one stage', { heads: 1, queries: 70, keys: 150, size: 32, shape: { ...ring, keys: 32, stages: 1 } }],
  [
    'a warpgroup that loads',
    { heads: 1, queries: 190, keys: 300, size: 64, shape: { ...ring, groups: 3, keys: 64, moves: 1 } },
  ],
  [
    'grouped heads of 128',
    { batch: 2, heads: 4, keyHeads: 2, queries: 70, keys: 130, size: 128, shape: { ...ring, keys: 48, moves: 1 } },
  ],
  ['heads of 80', { heads: 2, queries: 65, keys: 90, size: 80, shape: { ...whole, keys: 48, stages: 2 } }],
  ['heads of 96', { heads: 1, queries: 65, keys: 150, size: 96, shape: { ...ring, keys: 48, groups: 1 } }],
  ['a single key', { batch: 2, heads: 2, queries: 65, keys: 1, size: 64, shape: { ...whole, keys: 16, stages: 1 } }],
  ['heads of 96 and values of 40', { heads: 1, queries: 65, keys: 90, size: 96, valueSize: 40 }],
  ['heads of 8 and values of 48', { heads: 1, queries: 40, keys: 33, size: 8, valueSize: 48 }],
  ['heads of 256', { heads: 1, queries: 40, keys: 100, size: 256, shape: { ...whole, keys: 64, stages: 2 } }],
  [
    'causal',
    { heads: 2, queries: 200, size: 64, attributes: { isCausal: true }, shape: { ...ring, keys: 48, groups: 3 } },
  ],
  [
    'causal with a stage for each block',
    {
      heads: 1,
      queries: 200,
      size: 32,
      attributes: { isCausal: true },
      shape: { ...whole, groups: 2, keys: 80, stages: 3 },
    },
  ],
  [
    'causal with an offset, windows and a soft cap',
    {
      heads: 1,
      queries: 140,
      keys: 290,
      size: 32,
      attributes: { isCausal: true, causalOffset: 120, leftWindow: 60, softcap: 2, scale: 0.7 },
      shape: { ...ring, keys: 32 },
    },
  ],
  [
    'windows to both sides',
    {
      heads: 1,
      queries: 140,
      keys: 170,
      size: 16,
      attributes: { rightWindow: 9, leftWindow: 5 },
      shape: { ...whole, groups: 2, keys: 48, stages: 4 },
    },
  ],
  [
    'a boolean mask that is too short',
    {
      heads: 2,
      queries: 70,
      keys: 100,
      size: 32,
      mask: { dtype: 'bool', dims: [70, 83], fill: (i) => Number(i % 3 > 0) },
      shape: { ...ring, keys: 48 },
    },
  ],
  [
    'an additive mask over keys',
    {
      batch: 2,
      heads: 2,
      queries: 130,
      keys: 124,
      size: 64,
      mask: { dtype: 'float32', dims: [2, 1, 1, 124], fill: (i) => (i % 5 === 0 ? -Infinity : (i % 7) / 3) },
      shape: { ...whole, groups: 3, keys: 64, stages: 2 },
    },
  ],
  [
    'an additive mask over keys, in a ring',
    {
      batch: 2,
      heads: 1,
      queries: 70,
      keys: 200,
      size: 64,
      mask: { dtype: 'float16', dims: [2, 1, 1, 190] },
      shape: { ...ring, keys: 48 },
    },
  ],
  [
    'an additive mask of each head',
    {
      heads: 3,
      queries: 49,
      keys: 49,
      size: 32,
      mask: { dtype: 'float16', dims: [1, 3, 49, 49] },
      shape: { ...whole, keys: 64, stages: 1 },
    },
  ],
  [
    'rows without any key',
    {
      heads: 1,
      queries: 66,
      keys: 70,
      size: 16,
      mask: { dtype: 'bool', dims: [66, 70], fill: (i) => Number(i >= 4000) },
      shape: { ...whole, keys: 48, stages: 2 },
    },
  ],
  [
    'lengths and offsets',
    {
      batch: 3,
      heads: 2,
      queries: 70,
      keys: 140,
      size: 16,
      lengths: [140, 75, 0],
      offsets: [70, 2, 0],
      attributes: { isCausal: true },
      shape: { ...ring, keys: 48 },
    },
  ],
  ['sinks', { heads: 4, keyHeads: 2, queries: 70, keys: 133, size: 16, sinks: true, shape: { ...ring, keys: 48 } }],
];

describe.skipIf(!hasDevice || !isHopper())('attention by warpgroups', () => {
  it.each(cases)('float16: %s', (_, { shape = { ...whole, keys: 96, stages: 1 }, ...c }) =>
    attention('float16', { ...c, shape }, tactic),
  );
  it.each(cases.slice(0, 4))('bfloat16: %s', (_, { shape = { ...whole, keys: 96, stages: 1 }, ...c }) =>
    attention('bfloat16', { ...c, shape }, tactic),
  );
  it('by the best estimate', () => attention('float16', { heads: 2, queries: 100, size: 64, shape: {} }, tactic));

  it.each([ring, { ...whole, stages: 2 }])('takes lengths that only the run knows, %j', (shape) =>
    compare({
      inputs: [
        { dtype: 'float16', dims: [2, 2, 87, 16], symbols: ['b', undefined, 'l'] },
        { dtype: 'float16', dims: [2, 2, 90, 16], symbols: ['b', undefined, 's'] },
        { dtype: 'float16', dims: [2, 2, 90, 24], symbols: ['b', undefined, 's'] },
        { dtype: 'float16', dims: [2, 1, 1, 90], symbols: ['b', undefined, undefined, 's'] },
      ],
      least: 1,
      graph: (b, ...inputs) => b.op('attention', inputs, { isCausal: true, causalOffset: 50 }),
      force: { tactic, parameters: { ...shape, keys: 48 } },
    }),
  );

  it.each(['float16', 'bfloat16'] as DType[])('reads the heads of one %s product', (dtype) =>
    compare({
      inputs: [{ dtype, dims: [2, 70, 192] }],
      graph: (b, x) => {
        const product = b.op('reshape', [b.op('neg', [x])], { dims: [2, 70, 3, 2, 32] });
        const part = (i: number): Value => {
          const slice = b.op('slice', [product], {
            starts: [0, 0, i, 0, 0],
            sizes: [2, 70, 1, 2, 32],
            steps: [1, 1, 1, 1, 1],
          });
          return b.op('transpose', [b.op('reshape', [slice], { dims: [2, 70, 2, 32] })], { perm: [0, 2, 1, 3] });
        };
        const y = b.op('attention', [part(0), part(1), part(2)], {});
        return b.op('reshape', [b.op('transpose', [y], { perm: [0, 2, 1, 3] })], { dims: [2, 70, 64] });
      },
      force: { tactic, parameters: { ...whole, keys: 48, stages: 2 } },
    }),
  );

  it('leaves operands that no tensor map describes to other kernels', () =>
    compare({
      inputs: [{ dtype: 'float16', dims: [1, 40, 2, 100] }],
      graph: (b, x) => {
        const product = b.op('neg', [x]);
        const part = (i: number): Value =>
          b.op(
            'transpose',
            [b.op('slice', [product], { starts: [0, 0, 0, 32 * i + 4], sizes: [1, 40, 2, 32], steps: [1, 1, 1, 1] })],
            { perm: [0, 2, 1, 3] },
          );
        return b.op('attention', [part(0), part(1), part(2)], {});
      },
      force: { tactic, parameters: { ...whole, keys: 48, stages: 1 } },
    }));
});
