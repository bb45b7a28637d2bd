/** Who is believed where results differ: two against one. */

import { type Candidate, Tensor } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { type Outputs, type Verdict, verify, type Witness } from '../src/choose/verify.js';

function candidateOf(tactic: string): Candidate {
  return { tactic, parameters: {}, inputs: [], outputs: [], stridedOutput: false, estimate: 1, producer: 'some' };
}

/** One output of two elements; undefined: it cannot be run. */
function says(name: string, value: number | undefined): Witness {
  const outputs: Outputs | undefined =
    value === undefined ? undefined : [undefined, new Tensor('float32', Float32Array.of(1, value), [2])];
  return { name, compute: () => Promise.resolve(outputs) };
}

const own = candidateOf('own');
const other = candidateOf('other');
type Answer = number | 'fails' | 'nobody';

function judged(ours: Answer, theirs: Answer, judge: Answer, mayFall = true): Promise<Verdict> {
  const witness = (name: string, answer: Answer): Witness | undefined =>
    answer === 'nobody' ? undefined : says(name, answer === 'fails' ? undefined : answer);
  const rival = witness('other', theirs);
  return verify(
    { ...witness('own', ours)!, candidate: own },
    rival && mayFall ? { ...rival, candidate: other } : rival,
    witness('the judge', judge),
    { tolerance: 1e-3, elements: 0 },
  );
}

describe('a tactic', () => {
  it.each<[string, Answer, Answer]>([
    ['the other agrees, whatever the judge says', 2, 3],
    ['the judge agrees, where there is no other', 'nobody', 2],
    ['the judge agrees, where the other fails', 'fails', 2],
    ['nobody can be asked', 'nobody', 'nobody'],
    ['nobody can be run', 'fails', 'fails'],
  ])('is accepted where %s', async (_, theirs, judge) =>
    expect(await judged(2, theirs, judge)).toEqual({ accepted: true, faults: new Map() }),
  );

  it.each<[Answer, Answer, string]>([
    [3, 'nobody', 'unlike other'],
    [3, 'fails', 'unlike other'],
    [3, 3, 'unlike the judge and other'],
    ['nobody', 3, 'unlike the judge'],
    ['fails', 3, 'unlike the judge'],
  ])('is wrong where the other says %s and the judge %s', async (theirs, judge, reason) =>
    expect(await judged(2, theirs, judge)).toEqual({
      accepted: false,
      faults: new Map([
        [own, { code: 'ERR_VALUE', reason: `${reason}, output 1: 1 of 2 elements differ, the first at 1: 2 and 3` }],
      ]),
    }),
  );

  it('is not accepted where it does not run again, and nothing is told', async () =>
    expect(await judged('fails', 2, 2)).toEqual({ accepted: false, faults: new Map() }));

  it('stands with the judge against the other, which is dropped', async () => {
    const { accepted, faults } = await judged(2, 3, 2);
    expect(accepted).toBe(true);
    expect([...faults.keys()]).toEqual([other]);
    expect(faults.get(other)!.reason).toMatch(/^unlike own and the judge, output 1: /);
  });

  it('stands with the judge against others that nobody can drop', async () => {
    const { accepted, faults, note } = await judged(2, 3, 2, false);
    expect([accepted, faults.size]).toEqual([true, 0]);
    expect(note).toMatch(/^own agrees with the judge, but not with other: output 1: /);
  });

  it('is accepted with a note where nobody agrees with anybody', async () => {
    const { accepted, faults, note } = await judged(2, 3, 4);
    expect([accepted, faults.size]).toEqual([true, 0]);
    expect(note).toMatch(/^no two of own, other and the judge agree: /);
  });
});
