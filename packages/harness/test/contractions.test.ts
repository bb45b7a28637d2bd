import { type Coefficients, coefficientsOf, foresee, type Work } from '@tensorwright/backend-cuda';
import { describe, expect, it } from 'vitest';
import { leastSquares } from '../src/contractions/least-squares.js';
import { networkOf, problemIndex } from '../src/contractions/network.js';
import { rankOf } from '../src/contractions/rank.js';
import type { TimedProblem } from '../src/contractions/times.js';

describe('leastSquares', () => {
  it('finds the parameters of a decay', () => {
    const at = Array.from({ length: 30 }, (_, i) => i / 5);
    const measured = at.map((t) => 3 * Math.exp(-0.7 * t) + 0.5);
    const [a, b, c] = leastSquares(
      (x) => at.map((t, i) => x[0]! * Math.exp(-x[1]! * t) + x[2]! - measured[i]!),
      [1, 1, 0],
    );
    expect(a).toBeCloseTo(3, 5);
    expect(b).toBeCloseTo(0.7, 5);
    expect(c).toBeCloseTo(0.5, 5);
  });
});

const work: Work = {
  family: 'wgmma',
  tiles: 96,
  rows: 64,
  columns: 128,
  steps: 12,
  stepBytes: 128,
  splits: 1,
  exchange: 'none',
  shares: 1,
  stages: 4,
  resident: 2,
  turns: 1,
  warps: 4,
  bytes: 5e6,
  slowness: 1,
  before: 0,
  multiprocessors: 132,
  usable: 132,
};

describe('the model of products', () => {
  const c: Coefficients = coefficientsOf('sm_90a');
  const problem = (...times: (readonly [Work, number])[]): TimedProblem => ({
    op: 'dot',
    x: [],
    w: [],
    attributes: {},
    constant: true,
    bias: false,
    residual: false,
    activation: 'none',
    of: [],
    candidates: times.map(([w, microseconds]) => ({ tactic: '', parameters: {}, estimate: 0, microseconds, work: w })),
  });

  it('foresees less where blocks load an operand together, and more where there is more to do', () => {
    expect(foresee({ ...work, tiles: 264, shares: 4 }, c)).toBeLessThan(foresee({ ...work, tiles: 264 }, c));
    expect(foresee({ ...work, steps: 24 }, c)).toBeGreaterThan(foresee(work, c));
    expect(foresee({ ...work, tiles: 960 }, c)).toBeGreaterThan(foresee(work, c));
  });

  it('is judged by what its first choices cost', () => {
    const long = { ...work, steps: 48 };
    const [first, second] = rankOf([problem([work, 12], [long, 10])], c);
    expect([first?.mean, second?.mean]).toEqual([expect.closeTo(0.2, 6), 0]);
  });
});

describe('networkOf', () => {
  it('has a group for each problem', () => {
    const own = { attributes: {}, constant: true, bias: true, residual: true, activation: 'relu' } as const;
    const network = networkOf([
      { ...own, op: 'dot', x: [4, 8], w: [8, 3], attributes: { lhs: 'mk', rhs: 'kn', out: 'mn' } },
      { ...own, op: 'conv', x: [1, 8, 4, 4], w: [5, 8, 3, 3], attributes: { pads: [1, 1, 1, 1] } },
    ]);
    expect(network.outputs.map((o) => problemIndex(o.value.node))).toEqual([0, 1]);
    expect(network.inputs.map((i) => i.name)).toEqual(['x0', 'r0', 'x1', 'r1']);
  });
});
