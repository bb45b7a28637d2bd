/** Finding the addon. The first test needs a process that has not loaded it yet. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNative, NativeLoadError } from '@tensorwright/native';
import { expect, test, vi } from 'vitest';
import { loadBinding } from '../../js/load.js';

function failure(path: string): NativeLoadError {
  vi.stubEnv('TENSORWRIGHT_NATIVE_PATH', path);
  try {
    loadBinding();
  } catch (error) {
    if (error instanceof NativeLoadError) return error;
    throw error;
  } finally {
    vi.unstubAllEnvs();
  }
  throw new Error('it was loaded');
}

test('importing the package opens nothing', () => {
  const { sharedObjects } = process.report.getReport() as { sharedObjects: string[] };
  expect(sharedObjects.filter((path) => path.endsWith('.node') && path.includes('tensorwright'))).toEqual([]);
  loadNative();
  const after = (process.report.getReport() as { sharedObjects: string[] }).sharedObjects;
  expect(after.filter((path) => path.endsWith('tensorwright.node'))).toHaveLength(1);
});

test('a missing addon is an error with every place, its reason and the command that helps', () => {
  const path = join(tmpdir(), 'nowhere', 'tensorwright.node');
  const error = failure(path);
  expect(error.code).toBe('ERR_NATIVE_LOAD');
  expect(error.message).toContain(`- ${path}: not installed`);
  expect(error.message).toMatch(/npm install @tensorwright\/native-/);
  expect(error.details).toEqual({ tried: [{ path, reason: 'not installed' }] });
});

test('another interface is refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tensorwright-'));
  const path = join(folder, 'other.cjs');
  try {
    writeFileSync(path, 'exports.interfaceNumber = 999;');
    expect(failure(path).message).toMatch(/has interface 999, this version of @tensorwright\/native needs \d+/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what the machine has', () => {
  const native = loadNative();
  expect(native.interfaceNumber).toBe(2);
  expect(native.defaultThreads()).toBeGreaterThanOrEqual(1);
  expect(native.features()).toContain(native.isa());
  expect(native.kernelNames()).toContain('reduce');
  const before = native.isa();
  const lowest = native.features()[0]!;
  native.limitIsa(lowest);
  expect(native.isa()).toBe(lowest);
  native.limitIsa('amx');
  expect(native.isa()).toBe(before);
  expect(() => native.limitIsa('sse9')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }) as Error);
});
