/** Libraries that are no use, each in a process of its own: a library is opened once. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { isEmulated } from './support/emulator-play.js';

const addon =
  process.env['TENSORWRIGHT_NATIVE_PATH'] ??
  join(import.meta.dirname, '../../../native/build/Release/tensorwright.node');

/** What the addon says of cuDNN. */
function status(env: Record<string, string>): { version?: string; reason?: string } {
  const program = `process.stdout.write(JSON.stringify(require(process.argv[1]).cudaCudnnStatus()));`;
  const child = spawnSync(process.execPath, ['-e', program, addon], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  expect(child.stderr).toBe('');
  return JSON.parse(child.stdout) as ReturnType<typeof status>;
}

describe.skipIf(!isEmulated || cudaBackend.device() === undefined)('cuDNN', () => {
  it('is found', () => {
    expect(status({})).toEqual({ version: '9.99.0' });
  });

  it.each([
    ['that is not there', { TENSORWRIGHT_CUDNN: '/nowhere/libcudnn.so.9' }, /^no cuDNN: \/nowhere\/libcudnn\.so\.9: /],
    [
      'that is something else',
      { TENSORWRIGHT_CUDNN: process.env['TENSORWRIGHT_CUBLASLT']! },
      /libtensorwright_emulator_cublaslt\.so lacks cudnnGetVersion$/,
    ],
    [
      'without the other library that it would end the process for',
      { TENSORWRIGHT_CUBLASLT: '/nowhere/libcublasLt.so.13' },
      /^cuDNN 9\.99\.0 needs cuBLASLt 13: no cuBLASLt: \/nowhere\/libcublasLt\.so\.13: /,
    ],
  ])('%s is refused with the reason', (_, env, reason) => {
    const found = status(env);
    expect(found.version).toBeUndefined();
    expect(found.reason).toMatch(reason);
  });
});
