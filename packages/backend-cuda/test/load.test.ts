/** Loading leaves the event loop alone: what takes long, as libraries' contexts do, waits on a thread of its own. */

import { loadNative } from '@tensorwright/native';
import { Runtime } from '@tensorwright/runtime';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play, traced } from './support/emulator-play.js';
import { libraryPlan } from './support/library-plan.js';

vi.setConfig({ testTimeout: 120_000 });

/** Each on a device of its own, where nothing has been made yet. */
const calls = ['cuDevicePrimaryCtxRetain', 'cuModuleLoadData', 'cublasLtCreate', 'cudnnCreate'];
const devices = `devices:${String(calls.length + 1)}`;
play(devices);
const folder = mkdtempSync(join(tmpdir(), 'tensorwright-load-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  play(devices);
});

describe.skipIf(!hasDevice || !isEmulated)('loading', () => {
  let plan: Uint8Array;
  beforeAll(async () => {
    plan = await libraryPlan();
  });

  it.each(calls.map((call, i) => [call, i + 1] as const))('goes on while %s takes long', async (call, device) => {
    const file = join(folder, call);
    await traced(file, async () => {
      play(`${devices},hang:${call}`);
      let settled = false;
      const loading = Runtime.load(plan, { device }).finally(() => {
        settled = true;
      });
      await vi.waitUntil(() => existsSync(file) && readFileSync(file, 'utf8').includes(`hang ${call}\n`), {
        timeout: 60_000,
      });
      expect(settled).toBe(false);
      play(devices);
      await (await loading).close();
    });
  });

  it('refuses as it did, what a thread of its own finds', async () => {
    await expect(Runtime.load(plan, { device: calls.length + 1 })).rejects.toMatchObject({
      code: 'ERR_BACKEND_UNAVAILABLE',
      message: expect.stringMatching(/^[^:]+: there is no NVIDIA device/) as string,
    });
  });

  it('opens the driver meanwhile', async () => {
    loadNative();
    const addon = (process.report.getReport() as { sharedObjects: string[] }).sharedObjects.find((path) =>
      path.endsWith('tensorwright.node'),
    )!;
    const script = `
      const addon = require(process.argv[1]);
      let opened = false;
      addon.cudaOpen(true, true).then(() => {
        opened = true;
        console.log(addon.cudaStatus().available);
      });
      setTimeout(() => {
        console.log(opened);
        process.env.TENSORWRIGHT_EMULATOR_PLAY = '';
      }, 1);
    `;
    const env = { ...process.env, TENSORWRIGHT_EMULATOR_PLAY: 'hang:cuDevicePrimaryCtxRetain' };
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script, addon], { env });
    expect(stdout).toBe('false\ntrue\n');
  });
});
