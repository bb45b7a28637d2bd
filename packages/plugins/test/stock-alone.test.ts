import { Builder } from '@tensorwright/builder';
import { NetworkDefinition } from '@tensorwright/core';
import { topkLastDim } from '@tensorwright/plugins/stock';
import { expect, it } from 'vitest';

it('builds on the processor where a program imports nothing but the stock plugins', async () => {
  const network = new NetworkDefinition();
  const { values } = topkLastDim.addTo(network, { input: network.addInput('x', 'float32', [4]) }, { k: 2 });
  network.markOutput(values, 'values');
  const plan = await new Builder().build(network.toNetwork(), { backends: ['reference'] });
  expect(plan.header.backends.map((b) => b.name)).toContain('plugins');
});
