/** What is made once of an object. */

import { memo, memoByKind } from '@tensorwright/core';
import { expect, it } from 'vitest';

it('makes something once of each object, also what is undefined', () => {
  let made = 0;
  const sizeOf = memo((key: { readonly size?: number }) => {
    made++;
    return key.size;
  });
  const [a, b, none] = [{ size: 1 }, { size: 1 }, {}];
  expect([a, b, none, a, b, none].map(sizeOf)).toEqual([1, 1, undefined, 1, 1, undefined]);
  expect(made).toBe(3);
});

it('makes something once of each object and kind', () => {
  const made: string[] = [];
  const of = memoByKind<object, string>();
  const [a, b] = [{}, {}];
  const ask = (key: object, kind: string): string =>
    of(key, kind, () => {
      made.push(kind);
      return `${kind}!`;
    });
  expect([ask(a, 'x'), ask(a, 'y'), ask(b, 'x'), ask(a, 'x'), ask(b, 'x')]).toEqual(['x!', 'y!', 'x!', 'x!', 'x!']);
  expect(made).toEqual(['x', 'y', 'x']);
});

it('keeps nothing of what failed', () => {
  let tries = 0;
  const of = memo((_: object) => {
    if (++tries === 1) throw new Error('not yet');
    return tries;
  });
  const key = {};
  expect(() => of(key)).toThrow('not yet');
  expect(of(key)).toBe(2);
});
