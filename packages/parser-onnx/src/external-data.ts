/** External data: byte ranges of files beside the model, never outside of its folder, read when asked for. */

import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, lstatSync, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { TensorwrightError } from '@tensorwright/core';
import { ImportFailure } from './problems.js';

interface CheckedFile {
  readonly path: string;
  readonly stats: Stats;
}

/** Reads at most this much in one system call. */
const chunkBytes = 1 << 30;

export class ExternalData {
  readonly #folder: string;
  readonly #files = new Map<string, CheckedFile>();

  /** @param folder the model's folder: nothing outside of it is ever read */
  constructor(folder: string) {
    this.#folder = realpathSync(folder);
  }

  /**
   * Checks a TensorProto's `external_data` entries and gives the ways to read the bytes.
   * @throws ImportFailure with ERR_EXTERNAL_DATA
   */
  open(entries: Readonly<Record<string, string>>, bytes: number): { read(): Uint8Array; load(): Promise<Uint8Array> } {
    const location = entries['location'];
    if (location === undefined || location === '') throw failure('its external data has no location');
    const file = this.#file(location);
    const offset = integer(entries, 'offset', 0);
    const length = integer(entries, 'length', bytes);
    if (length !== bytes)
      throw failure(`external data '${location}' has length ${length}, the tensor needs ${bytes} bytes`);
    if (offset + length > file.stats.size) {
      throw failure(`external data '${location}' has ${file.stats.size} bytes, the tensor's end at ${offset + length}`);
    }
    return {
      read: () => read(file, location, offset, length),
      load: () => load(file, location, offset, length),
    };
  }

  #file(location: string): CheckedFile {
    const known = this.#files.get(location);
    if (known) return known;
    if (location.includes('\0') || isAbsolute(location) || /^[a-zA-Z]:|^\\/.test(location))
      throw failure(`external data '${printable(location)}' must be a relative path`);
    if (location.split(/[/\\]/).includes('..'))
      throw failure(`external data '${location}' must not leave the model's folder ('..')`);
    const path = resolve(this.#folder, location);
    const inside = relative(this.#folder, path);
    if (inside === '' || inside.startsWith('..') || isAbsolute(inside))
      throw failure(`external data '${location}' lies outside of the model's folder`);
    const file = { path, stats: checkedStats(this.#folder, inside, location) };
    this.#files.set(location, file);
    return file;
  }
}

/** No component may be a link, and the file must be a regular one with a single name. */
function checkedStats(folder: string, inside: string, location: string): Stats {
  let at = folder;
  let stats: Stats | undefined;
  for (const part of inside.split(sep)) {
    at = join(at, part);
    try {
      stats = lstatSync(at);
    } catch (cause) {
      throw failure(
        `external data '${location}' cannot be read (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`,
      );
    }
    if (stats.isSymbolicLink()) throw failure(`external data '${location}' goes through a symbolic link`);
  }
  if (!stats?.isFile()) throw failure(`external data '${location}' is not a regular file`);
  if (stats.nlink > 1) throw failure(`external data '${location}' is a hard link (${stats.nlink} names)`);
  return stats;
}

const openFlags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0);

function cannotOpen(file: CheckedFile, location: string, cause: unknown): TensorwrightError {
  return new TensorwrightError(
    'ERR_EXTERNAL_DATA',
    `external data '${location}' cannot be opened`,
    { location, path: file.path },
    { cause },
  );
}

/** @throws ERR_EXTERNAL_DATA unless the file is still the one that was checked */
function checkUnchanged(file: CheckedFile, location: string, now: Stats): void {
  const { ino, dev, size, mtimeMs } = file.stats;
  if (now.ino !== ino || now.dev !== dev || now.size !== size || now.mtimeMs !== mtimeMs) throw changed(file, location);
}

function changed(file: CheckedFile, location: string): TensorwrightError {
  return new TensorwrightError(
    'ERR_EXTERNAL_DATA',
    `external data '${location}' has changed since the model was parsed`,
    { location, path: file.path },
  );
}

function read(file: CheckedFile, location: string, offset: number, length: number): Uint8Array {
  let descriptor: number;
  try {
    descriptor = openSync(file.path, openFlags);
  } catch (cause) {
    throw cannotOpen(file, location, cause);
  }
  try {
    checkUnchanged(file, location, fstatSync(descriptor));
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const got = readSync(descriptor, bytes, at, Math.min(chunkBytes, length - at), offset + at);
      if (got === 0) throw changed(file, location);
      at += got;
    }
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}

async function load(file: CheckedFile, location: string, offset: number, length: number): Promise<Uint8Array> {
  let handle: FileHandle;
  try {
    handle = await open(file.path, openFlags);
  } catch (cause) {
    throw cannotOpen(file, location, cause);
  }
  try {
    checkUnchanged(file, location, await handle.stat());
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const { bytesRead } = await handle.read(bytes, at, Math.min(chunkBytes, length - at), offset + at);
      if (bytesRead === 0) throw changed(file, location);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

function integer(entries: Readonly<Record<string, string>>, key: string, fallback: number): number {
  const written = entries[key];
  if (written === undefined) return fallback;
  const value = /^\d{1,16}$/.test(written) ? Number(written) : NaN;
  if (!Number.isSafeInteger(value))
    throw failure(`external data has the ${key} '${printable(written)}', a non-negative integer is needed`);
  return value;
}

function printable(s: string): string {
  return JSON.stringify(s.slice(0, 200)).slice(1, -1);
}

function failure(reason: string): ImportFailure {
  return new ImportFailure('ERR_EXTERNAL_DATA', reason);
}
