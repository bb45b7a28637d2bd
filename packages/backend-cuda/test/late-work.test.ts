/** Work that a device does only when the host waits for it: what it touches stays until then. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';

vi.setConfig({ testTimeout: 120_000 });

afterEach(() => {
  play('');
});

describe.skipIf(!hasDevice || !isEmulated)('memory of a loop', () => {
  it('that is given back after a run is no longer read', async () => {
    // What is gathered is more than a loop keeps from run to run.
    const elements = 1 << 20;
    const trips = 5;
    const net = new NetworkDefinition('late');
    const x = net.addInput('x', 'float32', [elements]);
    const one = net.addConstant(new Tensor('float32', [1], []));
    const tripCount = net.addConstant(new Tensor('int64', [trips], []));
    const { stacked } = net.addLoop({ tripCount, carried: [x] }, (it) => {
      const next = net.addElementWise(it.carried[0]!, one, 'sum');
      return { carried: [next], stacked: [next] };
    });
    net.markOutput(net.addReduce(stacked[0]!, 'sum', [1]), 'y');
    const plan = await new Builder().build(net.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    play('late:1');
    for (let run = 0; run < 2; run++) {
      const { y } = await context.run({ x: new Tensor('float32', new Float32Array(elements), [elements]) });
      expect([...(y!.data as Float32Array)]).toEqual(Array.from({ length: trips }, (_, i) => (i + 1) * elements));
    }
  });
});
