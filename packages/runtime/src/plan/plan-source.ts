/** Where a plan's bytes come from: a file, or memory. */

import { TensorwrightError, whyUnreadable } from '@tensorwright/core';
import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** A plan in memory, as the builder hands it out. */
export interface PlanLike {
  /** The whole file. */
  toBytes(): Uint8Array | Promise<Uint8Array>;
}

export interface PlanSource {
  /** For messages. */
  readonly place: string;
  readonly byteLength: number;
  /** The file, where it is one. */
  readonly path: string | undefined;
  /** All bytes, where they are in memory. */
  readonly bytes: Uint8Array | undefined;
  /** Into the given memory, where bytes have to be copied at all. */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  readSync(offset: number, length: number): Uint8Array;
  close(): Promise<void>;
}

/**
 * @param caller for messages: 'Runtime.load'
 * @throws ERR_INVALID_ARGUMENT when there is no such file, or it is none of these
 */
export async function openPlan(plan: string | URL | Uint8Array | PlanLike, caller: string): Promise<PlanSource> {
  if (typeof plan === 'string' || plan instanceof URL) return openFile(plan);
  if (plan instanceof Uint8Array) return new MemorySource(plan);
  const refuse = (message: string, expected: string, received: string): never => {
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', `${caller}: ${message}`, { expected, received });
  };
  if (typeof plan !== 'object' || plan === null || typeof plan.toBytes !== 'function')
    return refuse('expected a path, a URL, a plan or its bytes', 'path, URL, Plan or Uint8Array', typeof plan);
  const bytes: unknown = await plan.toBytes();
  if (bytes instanceof Uint8Array) return new MemorySource(bytes);
  return refuse(`toBytes() gave a ${typeof bytes}, expected a Uint8Array`, 'Uint8Array', typeof bytes);
}

async function openFile(place: string | URL): Promise<PlanSource> {
  let file: FileHandle | undefined;
  try {
    const path = place instanceof URL ? fileURLToPath(place) : place;
    file = await open(path, 'r');
    const status = await file.stat();
    if (status.isDirectory()) throw Object.assign(new Error('not a file'), { code: 'EISDIR' });
    return new FileSource(path, file, status.size);
  } catch (cause) {
    await file?.close();
    throw new TensorwrightError(
      'ERR_INVALID_ARGUMENT',
      `cannot read the plan '${String(place)}': ${whyUnreadable(cause)}`,
      { file: String(place) },
      { cause },
    );
  }
}

class FileSource implements PlanSource {
  readonly place: string;
  readonly path: string;
  readonly byteLength: number;
  readonly bytes: undefined = undefined;
  readonly #file: FileHandle;

  constructor(path: string, file: FileHandle, byteLength: number) {
    this.place = path;
    this.path = path;
    this.#file = file;
    this.byteLength = byteLength;
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const out = into?.subarray(0, length) ?? new Uint8Array(length);
    for (let at = 0; at < length;) {
      const { bytesRead } = await this.#file.read(out, at, length - at, offset + at);
      if (bytesRead === 0) throw this.#truncated();
      at += bytesRead;
    }
    return out;
  }

  readSync(offset: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const bytesRead = readSync(this.#file.fd, out, at, length - at, offset + at);
      if (bytesRead === 0) throw this.#truncated();
      at += bytesRead;
    }
    return out;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  #truncated(): TensorwrightError {
    return new TensorwrightError('ERR_INVALID_PLAN', `${this.place}: the file ended while it was being read`, {
      file: this.place,
    });
  }
}

class MemorySource implements PlanSource {
  readonly place = 'plan';
  readonly path: undefined = undefined;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get byteLength(): number {
    return this.bytes.length;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.bytes.subarray(offset, offset + length);
  }

  readSync(offset: number, length: number): Uint8Array {
    return this.bytes.subarray(offset, offset + length);
  }

  async close(): Promise<void> {
    // Nothing is held.
  }
}
