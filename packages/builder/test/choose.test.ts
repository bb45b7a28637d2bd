/** Which candidate a node gets where the times are given. */

import { type Backend, type Candidate, GraphBuilder, type Layout, tensorType } from '@tensorwright/core';
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
