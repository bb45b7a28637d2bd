/** Backends take what they can in the order that the user names them in. */

import { Builder } from '@tensorwright/builder';
import { type Backend, NetworkDefinition } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { withImplicit } from '../src/place/last-resort.js';

describe('the order of backends', () => {
  it.each([
    [['reference', 'cpu'], 'reference'],
    [['cpu', 'reference'], 'cpu'],
  ])('%j: the first one runs a network', async (backends, first) => {
    const n = new NetworkDefinition();
    const x = n.addInput('x', 'float32', ['batch', 8]);
    n.markOutput(n.addActivation(n.addElementWise(x, x, 'sum'), 'relu'), 'y');
    const plan = await new Builder().build(n.toNetwork(), { backends });
    expect(plan.header.program.segments.map((segment) => segment.backend)).toEqual([first]);
    expect(plan.header.report.fallbacks).toEqual([]);
  });

  it.each([
    [['cuda', 'cpu'], 'cuda cpu plugins'],
    [['cuda', 'reference'], 'cuda plugins reference'],
    [['reference', 'cpu'], 'reference cpu plugins'],
    [['reference'], 'plugins reference'],
    [['plugins', 'cpu'], 'plugins cpu'],
  ])('%j: those that nobody names come last, but before a reference at the end', (names, order) => {
    const [plugins, ...chosen] = ['plugins', ...names.filter((n) => n !== 'plugins')].map(
      (name): Pick<Backend, 'name'> => ({ name }),
    );
    const given = names.includes('plugins') ? [plugins!, ...chosen] : chosen;
    const all = withImplicit(given as Backend[], [plugins as Backend]);
    expect(all.map((b) => b.name).join(' ')).toBe(order);
  });
});
