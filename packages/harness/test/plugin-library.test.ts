/** The suite of plugin libraries that runs on machines with a GPU, here on the emulated device and the processor. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { PluginLibrary } from '@tensorwright/plugins';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { checkLibraries } from '../src/plugin-library/checks.js';
import { measureOverhead } from '../src/plugin-library/overhead.js';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const hasDevice = cudaBackend.device() !== undefined;
const folder = mkdtempSync(join(tmpdir(), 'tensorwright-libraries-'));
const script = join(import.meta.dirname, '..', '..', '..', 'scripts', 'plugin-libraries.mjs');

describe.skipIf(process.platform !== 'linux')('the suite of plugin libraries', () => {
  beforeAll(() => {
    const { status, stderr } = spawnSync(process.execPath, [script, folder], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('finds nothing wrong', async () => {
    const [first, second] = ['swiglu-1.so', 'swiglu-2.so'].map((file) => join(folder, file)) as [string, string];
    const checks = await checkLibraries(first, second, hasDevice ? ['cuda', 'cpu'] : ['cpu']);
    expect(checks.length).toBeGreaterThan(8);
    expect(checks.filter((c) => !c.ok)).toEqual([]);
  });

  it.skipIf(!hasDevice)('times chains that compute the same', async () => {
    using library = PluginLibrary.load(join(folder, 'relu.so'));
    const times = await measureOverhead(library.plugins[0]!, { pairs: 2, plays: 2, sizes: [1024] });
    expect(times.map((t) => t.step)).toEqual(['built in', 'definePlugin', 'library']);
  });
});
