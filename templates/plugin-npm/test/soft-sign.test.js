import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { library } from 'my-tensorwright-plugins';

test('divides by the scale and the size', async () => {
  const network = new NetworkDefinition();
  const x = network.addInput('x', 'float32', ['n']);
  network.markOutput(library.plugins[0].addTo(network, { x }, { scale: 3 }).y, 'y');
  const plan = await new Builder().build(network.toNetwork());
  const engine = await Runtime.load(await plan.toBytes());
  const context = engine.createContext();
  const { y } = await context.run({ x: new Tensor('float32', Float32Array.of(-1, 0, 3), [3]) });
  assert.deepEqual([...y.data], [-0.25, 0, 0.5]);
  await context.close();
  await engine.close();
});
