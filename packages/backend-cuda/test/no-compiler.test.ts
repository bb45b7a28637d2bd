/** A device without NVRTC: plans run, and none can be built. The path is read once, when the compiler is first asked for. */

import { Builder } from '@tensorwright/builder';
import { type LogRecord, type Network, NetworkDefinition } from '@tensorwright/core';
import { expect, it } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { isEmulated } from './support/emulator-play.js';

const compiler = '/nowhere/libnvrtc.so';
process.env['TENSORWRIGHT_NVRTC'] = compiler;

function network(): Network {
  const definition = new NetworkDefinition();
  definition.markOutput(definition.addUnary(definition.addInput('x', 'float32', [4]), 'abs'), 'y');
  return definition.toNetwork();
}

it.skipIf(!isEmulated)('is left out of builds that leave the choice', async () => {
  expect(cudaBackend.unavailable!()).toMatch(new RegExp(`^no NVRTC: ${compiler}: .`));
  const records: LogRecord[] = [];
  const plan = await new Builder().build(network(), { logger: (r) => records.push(r) });
  expect(plan.header.backends.map((b) => b.name)).toEqual(['cpu']);
  expect(records.filter((r) => r.message.includes("'cuda'")).map((r) => r.message)).toEqual([
    expect.stringContaining(`backend 'cuda' is left out: it cannot run on this machine: no NVRTC: ${compiler}`),
  ]);
});

it.skipIf(!isEmulated)('is refused with the reason where it was chosen', async () => {
  await expect(new Builder().build(network(), { backends: ['cuda'] })).rejects.toMatchObject({
    code: 'ERR_BACKEND_UNAVAILABLE',
    message: expect.stringMatching(/^backend 'cuda' cannot run on this machine: no NVRTC: /) as string,
  });
});
