/** A machine without a device. The path of the driver is read once, when it is first asked for. */

import { Builder, type Plan } from '@tensorwright/builder';
import { loadBackend, type LogRecord, type Network, NetworkDefinition } from '@tensorwright/core';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { cudaBackend } from '../src/index.js';

const driver = '/nowhere/libcuda.so';
process.env['TENSORWRIGHT_CUDA_DRIVER'] = driver;

function network(): Network {
  const definition = new NetworkDefinition();
  definition.markOutput(definition.addUnary(definition.addInput('x', 'float32', [4]), 'abs'), 'y');
  return definition.toNetwork();
}

it('says which driver it looked for', () => {
  expect(cudaBackend.device()).toBeUndefined();
  expect(cudaBackend.unavailable!()).toMatch(new RegExp(`^no NVIDIA driver: ${driver}: .`));
});

it('is left out of builds that leave the choice', async () => {
  const records: LogRecord[] = [];
  const plan: Plan = await new Builder().build(network(), { logger: (r) => records.push(r), optimizationLevel: 0 });
  expect(plan.header.backends.map((b) => b.name)).toEqual(['cpu']);
  const told = records.filter((r) => r.message.includes("'cuda'"));
  expect(told.map((r) => r.level)).toEqual(['info']);
  expect(told[0]!.message).toContain(driver);
});

it('is refused with the reason where it was chosen', async () => {
  await expect(new Builder().build(network(), { backends: ['cuda'] })).rejects.toMatchObject({
    code: 'ERR_BACKEND_UNAVAILABLE',
    message: expect.stringMatching(/^backend 'cuda' cannot run on this machine: no NVIDIA driver: /) as string,
  });
});

it('carries the version of its package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect((await loadBackend('cuda')).version).toBe(version);
});
