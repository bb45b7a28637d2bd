/** Kernel text to machine code for this machine's device, each text once: in memory, and on disk across processes. */

import { TensorwrightError } from '@tensorwright/core';
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { native } from '../native.js';
import { KernelCache } from './kernel-cache.js';

/** float32 stays float32: nothing is contracted but multiply-add, nothing is flushed. */
const options = ['--std=c++17', '--fmad=true', '-default-device'];

const running = new Map<string, Promise<Uint8Array>>();
const cache = new KernelCache(
  process.env['TENSORWRIGHT_KERNEL_CACHE'],
  process.env['TENSORWRIGHT_KERNEL_CACHE_MEGABYTES'],
);

/** @throws ERR_COMPILATION with the compiler's log; ERR_BACKEND_UNAVAILABLE when there is no compiler or device */
export function compile(text: string): Promise<Uint8Array> {
  const { cuda } = native();
  const status = cuda.status();
  if (!status.available) throw new TensorwrightError('ERR_BACKEND_UNAVAILABLE', status.reason, {});
  const architecture = status.devices[0]!.architecture;
  const key = createHash('sha256')
    .update([status.compiler ?? '', architecture, ...options, text].join('\0'))
    .digest('hex');
  let result = running.get(key);
  if (!result) {
    result = compileOnce(key, text, architecture);
    running.set(key, result);
    result.catch(() => running.delete(key));
  }
  return result;
}

async function compileOnce(key: string, text: string, architecture: string): Promise<Uint8Array> {
  const known = await cache.read(key);
  if (known) return known;
  const cubin = await limited(() => native().cuda.compile(text, [`--gpu-architecture=${architecture}`, ...options]));
  await cache.write(key, cubin);
  return cubin;
}

/** Compilers at work: one for each core. */
let free = availableParallelism();
const waiting: (() => void)[] = [];

async function limited<T>(work: () => Promise<T>): Promise<T> {
  if (free > 0) free--;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free++;
  }
}
