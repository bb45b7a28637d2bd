/** Which of several candidates is taken, by their times. */

import type { Candidate } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { best } from '../src/choose/best.js';

const times: Readonly<Record<string, number>> = { own: 6750, library: 6390, close: 6700, slow: 9000 };

const named = (tactic: string, handover?: number): Candidate => ({
  tactic,
  parameters: {},
  inputs: [],
  outputs: [],
  stridedOutput: false,
  estimate: 1,
  producer: 'some',
  ...(handover !== undefined && { handover }),
});

const taken = (...candidates: Candidate[]): string | undefined =>
  best(candidates, (c) => times[c.tactic])?.candidate.tactic;

describe('the best candidate', () => {
  it('is the fastest', () => expect(taken(named('slow'), named('own'), named('library'))).toBe('library'));

  it('is the first of those that are as fast but for noise', () =>
    expect(taken(named('own'), named('close'))).toBe('own'));

  it('costs its neighbours less than it gains', () => {
    expect(taken(named('own'), named('library', 0.8))).toBe('own');
    expect(taken(named('slow'), named('library', 0.8))).toBe('library');
  });

  it('has a time', () => expect(taken(named('unknown'))).toBeUndefined());
});
