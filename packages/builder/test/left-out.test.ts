/** What a build says of default backends that this machine does not have. */

import { Builder } from '@tensorwright/builder';
import { loadBackend, NetworkDefinition, registerBackend } from '@tensorwright/core';
import { definePlugin } from '@tensorwright/plugins';
import { expect, it } from 'vitest';

it('names them, and why, where nothing else runs an operator', async () => {
  registerBackend({
    ...(await loadBackend('cpu')),
    name: 'cuda',
    device: () => undefined,
    unavailable: () => 'no luck',
  });
  const plugin = definePlugin({
    name: 'OnlyOnDevices',
    inputs: ['x'],
    outputs: ['y'],
    infer: ({ inputs: { x } }) => ({ y: x }),
    cuda: {
      source: '__global__ void nothing(const float* x, float* y) {}',
      launches: ({ inputs: { x }, outputs: { y } }) => [{ kernel: 'nothing', grid: 1, block: 1, arguments: [x, y] }],
    },
  });
  const network = new NetworkDefinition();
  network.markOutput(plugin.addTo(network, { x: network.addInput('x', 'float32', [1]) }).y, 'y');
  await expect(new Builder().build(network.toNetwork())).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: expect.stringMatching(
      /OnlyOnDevices.*: cuda: it cannot run on this machine: no luck; cpu: .*; plugins: .* no function for the processor/,
    ) as string,
  });
});
