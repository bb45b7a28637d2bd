import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { KernelCache } from '../src/compile/kernel-cache.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorwright-kernels-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const kernel = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(7);
const hours = (n: number): Date => new Date(Date.now() - n * 3_600_000);

it('keeps what it was given', async () => {
  const cache = new KernelCache(folder);
  expect(await cache.read('a')).toBeUndefined();
  await cache.write('a', kernel(10));
  expect(await cache.read('a')).toEqual(kernel(10));
  expect(await readdir(folder)).toEqual(['a']);
});

it('keeps nothing in no folder', async () => {
  const cache = new KernelCache('');
  await cache.write('a', kernel(10));
  expect(await cache.read('a')).toBeUndefined();
});

it('removes what was used longest ago when it is full', async () => {
  const each = 300_000;
  for (const [i, name] of ['a', 'b', 'c'].entries()) {
    await writeFile(join(folder, name), kernel(each));
    await utimes(join(folder, name), hours(9 - i), hours(9 - i));
  }
  const cache = new KernelCache(folder, '1');
  // Now 'b' is the oldest.
  expect(await cache.read('a')).toHaveLength(each);
  await cache.write('d', kernel(each));
  expect((await readdir(folder)).sort()).toEqual(['a', 'c', 'd']);
});

it('notes a use once in an hour', async () => {
  const path = join(folder, 'a');
  await writeFile(path, kernel(10));
  const cache = new KernelCache(folder);
  const before = (await stat(path)).mtimeMs;
  await cache.read('a');
  expect((await stat(path)).mtimeMs).toBe(before);
  await utimes(path, hours(2), hours(2));
  await cache.read('a');
  expect(Date.now() - (await stat(path)).mtimeMs).toBeLessThan(3_600_000);
});

it('grows without a limit where the limit is 0', async () => {
  const cache = new KernelCache(folder, '0');
  for (let i = 0; i < 3; i++) await cache.write(String(i), kernel(2_000_000));
  expect(await readdir(folder)).toHaveLength(3);
});
