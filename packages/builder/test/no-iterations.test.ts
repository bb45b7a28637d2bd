/** What loops stack in runs without iterations: nothing, of the shape that the network tells. */

import { evaluateGraph, NetworkDefinition, type Network, Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { expect, it } from 'vitest';
import { Builder } from '../src/index.js';

function loop(): Network {
  const n = new NetworkDefinition();
  const x = n.addInput('x', 'float32', ['rows', 3]);
  const tripCount = n.addInput('trips', 'int64', []);
  const { stacked } = n.addLoop({ tripCount, captures: [x] }, ({ captures: [t] }) => ({ carried: [], stacked: [t!] }));
  n.markOutput(stacked[0]!, 'y');
  // Reads an extent that the empty result has, too.
  n.markOutput(n.addShuffle(n.addUnary(x, 'neg'), { reshape: [-1] }), 'z');
  return n.toNetwork();
}

function scan(): Network {
  const n = new NetworkDefinition();
  const x = n.addInput('x', 'float32', ['rows', 3]);
  const tensor = n.addInput('trips', 'float32', ['trips', 2]);
  const { stacked } = n.addScan({ scanned: [{ tensor }], captures: [x] }, ({ captures: [t] }) => ({
    carried: [],
    stacked: [t!],
  }));
  n.markOutput(stacked[0]!, 'y');
  n.markOutput(n.addShuffle(n.addUnary(x, 'neg'), { reshape: [-1] }), 'z');
  return n.toNetwork();
}

it.each([
  ['Loop', loop(), new Tensor('int64', [0], [])],
  ['Scan', scan(), new Tensor('float32', [], [0, 2])],
])('of %s', async (_, network, trips) => {
  const x = new Tensor('float32', new Float32Array(12), [4, 3]);
  const dimsOf = (tensors: readonly unknown[]): (readonly number[])[] => tensors.map((t) => (t as Tensor).dims);
  expect(dimsOf(evaluateGraph(network.graph, [x, trips]))).toEqual([[0, 4, 3], [12]]);
  for (const backend of ['cpu', 'reference']) {
    const plan = await new Builder().build(network, { backends: [backend] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const { y, z } = await context.run({ x, trips });
    expect(dimsOf([y, z])).toEqual([[0, 4, 3], [12]]);
  }
});
