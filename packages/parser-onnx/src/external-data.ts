/** External data: byte ranges of files beside the model, never outside of its folder, read when asked for. */

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { TensorwrightError, whyUnreadable } from '@tensorwright/core';
import { ImportFailure } from './problems.js';

interface CheckedFile {
  readonly path: string;
  readonly stats: Stats;
}

/** Reads at most this much in one system call. */
const chunkBytes = 1 << 30;

export class ExternalData {
  readonly #folder: string;
  /** Folders that links may lead into. */
  readonly #roots: readonly string[];
  readonly #files = new Map<string, CheckedFile>();

  /**
   * @param folder the model's folder: nothing outside of it is ever read
   * @param model the model's path: where that is a link, as in caches of downloaded models, data may be links into the
   * folder of what it leads to
   */
  constructor(folder: string, model?: string) {
    this.#folder = realpathSync(folder);
    const own = model === undefined || !existsSync(model) ? this.#folder : dirname(realpathSync(model));
    this.#roots = [this.#folder, own];
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
      const hint = file.stats.size < 1024 ? 'If it is a pointer of Git LFS, git lfs pull fetches the data.' : undefined;
      throw failure(
        `external data '${location}' has ${file.stats.size} bytes, the tensor's end at ${offset + length}`,
        hint,
      );
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
    if (!isBelow(this.#folder, path)) throw failure(`external data '${location}' lies outside of the model's folder`);
    const file = checkedFile(path, this.#roots, location);
    this.#files.set(location, file);
    return file;
  }
}

function isBelow(folder: string, path: string): boolean {
  const inside = relative(folder, path);
  return inside !== '' && inside.split(sep)[0] !== '..' && !isAbsolute(inside);
}

/** A link may lead to a file of the folder, or of the model's own; the file must be a regular one with a single name. */
function checkedFile(given: string, roots: readonly string[], location: string): CheckedFile {
  let path: string;
  try {
    path = realpathSync(given);
  } catch (cause) {
    throw failure(`external data '${location}': ${whyUnreadable(cause)}`);
  }
  if (path !== given && !roots.some((root) => isBelow(root, path)))
    throw failure(`external data '${location}' is a link that leads out of the model's folder`, 'A copy will do.');
  const stats = lstatSync(path);
  if (!stats.isFile()) throw failure(`external data '${location}' is not a regular file`);
  if (stats.nlink > 1)
    throw failure(`external data '${location}' is a hard link (${stats.nlink} names)`, 'A copy of the file will do.');
  return { path, stats };
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

function failure(reason: string, hint?: string): ImportFailure {
  return new ImportFailure('ERR_EXTERNAL_DATA', reason, hint);
}
