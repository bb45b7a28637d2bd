/**
 * Compiled kernels on disk: one file per digest of text, options, architecture and compiler. Files that were used last
 * are kept, up to a size; reading one counts as a use.
 */

import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

const defaultMegabytes = 1024;
/** What is left after trimming, so that it is not needed at every write. */
const keptFraction = 0.9;
/** Bytes written between two looks at the folder's size. */
const trimEvery = 32 * 2 ** 20;
/** The time of a use is noted to this many milliseconds: kernels of one build are read many times. */
const usePrecisionMs = 3_600_000;

export class KernelCache {
  readonly #folder: string | undefined;
  readonly #mostBytes: number;
  #untrimmed = Infinity;

  /**
   * @param folder default: `tensorwright/kernels` in the user's cache folder; '' keeps nothing.
   * @param megabytes size of the folder; default 1024. 0: without a limit.
   */
  constructor(folder: string | undefined, megabytes?: string) {
    const user = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
    this.#folder = folder === '' ? undefined : (folder ?? join(user, 'tensorwright', 'kernels'));
    const limit = megabytes === undefined || megabytes === '' ? defaultMegabytes : Number(megabytes);
    this.#mostBytes = limit > 0 ? limit * 2 ** 20 : Infinity;
  }

  /** undefined for what is not there, or cannot be read. */
  async read(key: string): Promise<Uint8Array | undefined> {
    if (this.#folder === undefined) return undefined;
    const path = join(this.#folder, key);
    try {
      const bytes = await readFile(path);
      if (bytes.length === 0) return undefined;
      await noteUse(path);
      return new Uint8Array(bytes);
    } catch {
      return undefined;
    }
  }

  /** A cache that cannot be written costs time and nothing else. */
  async write(key: string, cubin: Uint8Array): Promise<void> {
    if (this.#folder === undefined) return;
    const temporary = join(this.#folder, `${key}.${String(process.pid)}.tmp`);
    try {
      await mkdir(this.#folder, { recursive: true });
      await writeFile(temporary, cubin);
      await rename(temporary, join(this.#folder, key));
      this.#untrimmed += cubin.length;
      if (this.#untrimmed >= Math.min(trimEvery, this.#mostBytes / 10)) {
        this.#untrimmed = 0;
        await trim(this.#folder, this.#mostBytes);
      }
    } catch {
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }
}

async function noteUse(path: string): Promise<void> {
  const { mtimeMs } = await stat(path);
  // A cache of somebody else's may be readable only.
  if (Date.now() - mtimeMs > usePrecisionMs) await utimes(path, new Date(), new Date()).catch(() => undefined);
}

/** Removes what was used longest ago. Other processes may do the same: files may be gone. */
async function trim(folder: string, mostBytes: number): Promise<void> {
  const found = await Promise.all(
    (await readdir(folder)).map(async (name) => {
      const path = join(folder, name);
      const { size, mtimeMs } = await stat(path).catch(() => ({ size: 0, mtimeMs: 0 }));
      return { path, size, mtimeMs };
    }),
  );
  let bytes = found.reduce((sum, f) => sum + f.size, 0);
  if (bytes <= mostBytes) return;
  found.sort((a, b) => a.mtimeMs - b.mtimeMs);
  for (const { path, size } of found) {
    if (bytes <= mostBytes * keptFraction) return;
    await rm(path, { force: true });
    bytes -= size;
  }
}
