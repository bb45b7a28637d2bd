/** Candidates that come to the same kernel and launch are timed once, and each has the time. */

import { type Backend, type Candidate, GraphBuilder, Tensor, tensorType, TensorwrightError } from '@tensorwright/core';
import { expect, it } from 'vitest';
import { TacticTimer } from '../src/choose/measure.js';
import type { PassContext } from '../src/pass.js';

/** Of each candidate the code that its step has, and the time that this code takes; undefined: it fails. */
type Codes = Readonly<Record<string, { readonly code: number; readonly nanoseconds: number | undefined }>>;

async function timed(codes: Codes): Promise<{ tried: number; chosen: string; dropped: readonly string[] }> {
  let tried = 0;
  const timeOf = new Map(Object.values(codes).map(({ code, nanoseconds }) => [code, nanoseconds]));
  const candidates = Object.keys(codes).map((tactic, i): Candidate => ({
    tactic,
    parameters: {},
    inputs: ['rows'],
    outputs: ['rows'],
    stridedOutput: false,
    estimate: i,
    producer: 'some',
  }));
  const backend: Backend = {
    name: 'some',
    version: '1',
    memory: 'cuda',
    device: () => ({ id: 'some', description: 'some' }),
    refuses: () => undefined,
    candidates: () => candidates,
    emit: (_node, { tactic }) =>
      Promise.resolve({
        kernel: 'launch',
        attributes: {},
        inputs: [
          { kind: 'input', index: 0 },
          // Compiled code is a constant of the step.
          { kind: 'constant', tensor: new Tensor('uint8', Uint8Array.of(codes[tactic]!.code), [1]) },
        ],
        outputs: [{ kind: 'output', index: 0 }],
      }),
    trials: () => ({
      try: ({ weights }) => {
        tried++;
        const nanoseconds = timeOf.get(weights[0]!);
        return nanoseconds === undefined
          ? Promise.reject(new TensorwrightError('ERR_DEVICE', 'it fails', {}))
          : Promise.resolve({ nanoseconds: [nanoseconds], outputs: [] });
      },
      close: () => undefined,
    }),
  };
  const builder = new GraphBuilder();
  const y = builder.op('relu', [builder.input('x', tensorType('float32', [4]))]);
  const context: PassContext = {
    builder,
    options: { verifyTactics: false },
    backends: [backend],
    optimum: new Map(),
    log: () => undefined,
    breathe: () => Promise.resolve(),
  };
  const timer = new TacticTimer(context);
  const found = await timer.fastest(y.node, backend, candidates);
  return { tried, chosen: found!.candidate.tactic, dropped: timer.dropped.map((d) => d.tactic) };
}

it('counts the first of equals, and others by their own time', async () => {
  const slow = { code: 1, nanoseconds: 200 };
  const fast = { code: 2, nanoseconds: 100 };
  expect(await timed({ a: slow, b: fast, c: slow, d: fast })).toEqual({ tried: 2, chosen: 'b', dropped: [] });
});

it('drops all whose code fails', async () => {
  const broken = { code: 1, nanoseconds: undefined };
  const works = { code: 2, nanoseconds: 100 };
  expect(await timed({ a: broken, b: works, c: broken })).toEqual({ tried: 2, chosen: 'b', dropped: ['a', 'c'] });
});
