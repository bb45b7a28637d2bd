import type { Candidate } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { shortlist } from '../src/choose/shortlist.js';

function ranked(tactics: string): Candidate[] {
  return [...tactics].map(
    (tactic, estimate) => ({ tactic, estimate, ...(tactic === 'L' && { source: 'cublasLt' }) }) as Candidate,
  );
}

describe('shortlist', () => {
  it.each([
    // The list, how many of it, and which are kept.
    ['aaaaaaaabbbbc', 8, [0, 1, 2, 3, 4, 8, 9, 12]],
    ['aaaaabbbbbccccc', 12, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]],
    ['abcdef', 4, [0, 1, 2, 3]],
    ['aab', 8, [0, 1, 2]],
    ['aab', 2, [0, 2]],
    // A library's (L) take nobody's place.
    ['LaLaaLabbbLbb', 8, [0, 1, 2, 3, 4, 6, 7, 8, 9, 11]],
    ['LLLL', 8, [0, 1]],
  ] as [string, number, number[]][])('of %s, %i', (tactics, limit, kept) => {
    expect(shortlist(ranked(tactics), limit).map((c) => c.estimate)).toEqual(kept);
  });
});
