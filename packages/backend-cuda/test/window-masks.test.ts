/** Masks that serve the batches in turn: windows of images, which are folded into the batch. */

import type { DType } from '@tensorwright/core';
import { describe, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { attention, type Case } from './support/attention-case.js';

// Read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

const windows = 3;
const shared = { batch: 2 * windows, heads: 2, queries: 49, size: 32, attributes: { masksInTurn: true } };
const fill = (i: number): number => (i % 5 === 0 ? -100 : (i % 7) / 3);
const masked = (dtype: DType, dims: readonly number[]): Case => ({ ...shared, mask: { dtype, dims, fill } });

describe.skipIf(!hasDevice)('masks in turn', () => {
  it.each(['float32', 'float16', 'bfloat16'] as const)('of every head, in %s', (dtype) =>
    attention(dtype, masked(dtype, [windows, 2, 49, 49])),
  );
  it.each(['cuda.attention.', 'cuda.attentionHopper'])('of all heads, by %s', (tactic) =>
    attention('float16', { ...masked('float16', [windows, 1, 49, 49]), shape: {} }, tactic),
  );
  it('that are boolean, and the same for all queries', () =>
    attention('float16', {
      ...shared,
      mask: { dtype: 'bool', dims: [windows, 1, 1, 49], fill: (i) => Number(i % 3 > 0) },
    }));
  it('of which there is one', () => attention('float32', masked('float32', [1, 1, 49, 49])));
  it('without an axis of their own', () => attention('float32', masked('float32', [49, 49])));
});
