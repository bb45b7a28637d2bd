/** Which candidate a node gets where the times are given. */

import { type Backend, type Candidate, GraphBuilder, type Layout, type Node, tensorType } from '@tensorwright/core';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { chooseTactics } from '../src/choose/choose.js';
import { TacticTimer } from '../src/choose/measure.js';
import type { PassContext } from '../src/pass.js';
import { ProgressReporter } from '../src/progress.js';

const candidate = (layout: Layout, estimate: number): Candidate => ({
  tactic: `some.${layout}.${String(estimate)}`,
  parameters: {},
  inputs: [layout],
  outputs: [layout],
  stridedOutput: false,
  estimate,
  producer: 'some',
});

const some: Backend = {
  name: 'some',
  version: '1',
  device: () => undefined,
  refuses: () => undefined,
  candidates: () => [candidate('rows', 1), candidate('rows', 2), candidate('channelsLast', 3)],
  emit: () => Promise.reject(new Error('nothing is emitted')),
};

/** @param broken tactics that were dropped */
async function chosenBut(broken: readonly string[]): Promise<string> {
  const builder = new GraphBuilder();
  const x = builder.input('x', tensorType('float32', [1, 8, 4, 4]));
  const y = builder.op('relu', [x]);
  const context: PassContext = {
    builder,
    options: {},
    backends: [some],
    optimum: new Map(),
    log: () => undefined,
    breathe: () => Promise.resolve(),
  };
  const timer = new TacticTimer(context);
  timer.fastest = (_node, _backend, candidates) => {
    const works = candidates.find((c) => !broken.includes(c.tactic));
    return Promise.resolve({ candidate: works ?? candidates[0]!, nanoseconds: works ? 1000 : Infinity });
  };
  const graph = { inputs: [x], outputs: [y] };
  const chosen = await chooseTactics(graph, new Map([[y.node, some]]), context, new ProgressReporter(undefined), timer);
  return chosen.get(y.node)!.candidate.tactic;
}

describe('the tactic of a node', () => {
  it('has the layout that suits its neighbours', async () => expect(await chosenBut([])).toBe('some.rows.1'));

  it('is the best that works', async () => expect(await chosenBut(['some.rows.1'])).toBe('some.rows.2'));

  it('has another layout where no other works', async () =>
    expect(await chosenBut(['some.rows.1', 'some.rows.2'])).toBe('some.channelsLast.3'));

  it('is missed where none works', async () =>
    expect(chosenBut(['some.rows.1', 'some.rows.2', 'some.channelsLast.3'])).rejects.toMatchObject({
      code: 'ERR_DEVICE',
    }));
});

/** How many nodes a backend was asked to prepare at once, and their tactics in the graph's order. */
async function prepared(memory: { memory?: 'cuda' }): Promise<{ atOnce: number; tactics: string[] }> {
  const builder = new GraphBuilder();
  const inputs = Array.from({ length: 6 }, (_, i) => builder.input(`x${String(i)}`, tensorType('float32', [8])));
  const outputs = inputs.map((x) => builder.op('relu', [x]));
  const asked = outputs.map((v) => v.node);
  let [now, atOnce] = [0, 0];
  const ready = new Set<Node>();
  const backend: Backend = {
    ...some,
    ...memory,
    prepare: async (node) => {
      atOnce = Math.max(atOnce, ++now);
      // The first are ready last.
      await setTimeout(2 * (asked.length - asked.indexOf(node)));
      ready.add(node);
      now--;
    },
    candidates: (node) => (ready.has(node) ? [candidate('rows', asked.indexOf(node))] : []),
  };
  const context: PassContext = {
    builder,
    options: {},
    backends: [backend],
    optimum: new Map(),
    log: () => undefined,
    breathe: () => Promise.resolve(),
  };
  const backendOf = new Map(asked.map((n) => [n, backend]));
  const progress = new ProgressReporter(undefined);
  const chosen = await chooseTactics({ inputs, outputs }, backendOf, context, progress, new TacticTimer(context));
  return { atOnce, tactics: asked.map((n) => chosen.get(n)!.candidate.tactic) };
}

describe('backends are asked', () => {
  const tactics = [0, 1, 2, 3, 4, 5].map((i) => `some.rows.${String(i)}`);

  it('of several nodes at once where a device compiles', async () =>
    expect(await prepared({ memory: 'cuda' })).toEqual({ atOnce: 6, tactics }));

  it('of one after the other on the processor', async () => expect(await prepared({})).toEqual({ atOnce: 1, tactics }));
});
