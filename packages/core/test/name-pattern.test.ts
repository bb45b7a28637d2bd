import { describe, expect, it } from 'vitest';
import { nameMatcher } from '../src/index.js';

describe('nameMatcher', () => {
  it.each([
    ['head', 'head', true],
    ['head', 'heads', false],
    ['head', 'ahead', false],
    ['/head/*', '/head/MatMul', true],
    ['*', '', true],
    ['*', 'first line\nsecond\u2028third', true],
    ['a*c', 'a\r\nc', true],
    ['a', 'a\n', false],
    ['*.*', 'layer.0', true],
    ['*.*', 'layer0', false],
    ['a+(b)[c]{d}^$|?\\', 'a+(b)[c]{d}^$|?\\', true],
  ])('%j on %j: %s', (pattern, name, matches) => {
    expect(nameMatcher([pattern])(name)).toBe(matches);
  });

  it('takes any of several patterns, and none of none', () => {
    expect(nameMatcher(['x', 'y*'])('yz')).toBe(true);
    expect(nameMatcher([])('')).toBe(false);
  });
});
