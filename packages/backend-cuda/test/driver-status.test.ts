/** Drivers that are no use, each in a process of its own: a driver is opened once. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { isEmulated } from './support/emulator-play.js';

const addon =
  process.env['TENSORWRIGHT_NATIVE_PATH'] ??
  join(import.meta.dirname, '../../../native/build/Release/tensorwright.node');

/** What the addon says of the devices, and of an attempt to use one. */
function status(env: Record<string, string>): { status: Record<string, unknown>; code?: string } {
  const program = `
    const addon = require(process.argv[1]);
    const status = addon.cudaStatus();
    let code;
    try { addon.deviceAllocate(16, 0); } catch (error) { code = error.code; }
    process.stdout.write(JSON.stringify({ status, code }));`;
  const child = spawnSync(process.execPath, ['-e', program, addon], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  expect(child.stderr).toBe('');
  return JSON.parse(child.stdout) as ReturnType<typeof status>;
}

describe.skipIf(!isEmulated || cudaBackend.device() === undefined)('a driver', () => {
  it.each([
    [
      'that is too old',
      { TENSORWRIGHT_EMULATOR_PLAY: 'driver:11040' },
      /is too old: it speaks CUDA 11\.4; 12\.0 is needed$/,
    ],
    [
      'without a device',
      { TENSORWRIGHT_EMULATOR_PLAY: 'devices:0' },
      /^the NVIDIA driver does not start: no CUDA-capable device/,
    ],
    [
      'of an old device',
      { TENSORWRIGHT_EMULATOR_CAPABILITY: '7.5' },
      /^Tensorwright emulator has compute capability 7\.5; 8\.0 is needed$/,
    ],
    [
      'that is not there',
      { TENSORWRIGHT_CUDA_DRIVER: '/nowhere/libcuda.so' },
      /^no NVIDIA driver: \/nowhere\/libcuda\.so: /,
    ],
    [
      'that is something else',
      { TENSORWRIGHT_CUDA_DRIVER: process.env['TENSORWRIGHT_NVRTC']! },
      /is too old: .* and lacks cuInit; 12\.0 is needed$/,
    ],
  ])('%s is refused with the reason', (_, env, reason) => {
    const { status: found, code } = status(env);
    expect(found['available']).toBe(false);
    expect(found['reason']).toMatch(reason);
    expect(code).toBe('ERR_BACKEND_UNAVAILABLE');
  });

  it('without a compiler has devices all the same', () => {
    const { status: found, code } = status({ TENSORWRIGHT_NVRTC: '/nowhere/libnvrtc.so' });
    expect(found).toMatchObject({ available: true, driver: '13.0' });
    expect(found['compiler']).toBeUndefined();
    expect(found['compilerReason']).toMatch(/^no NVRTC: \/nowhere\/libnvrtc\.so: /);
    expect(code).toBeUndefined();
  });
});
