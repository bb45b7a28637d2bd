/** Compiled kernels on disk: one file per digest of text, options, architecture and compiler. */

import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

export class KernelCache {
  readonly #folder: string | undefined;

  /** @param folder default: `tensorwright/kernels` in the user's cache folder; '' keeps nothing. */
  constructor(folder: string | undefined) {
    const user = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
    this.#folder = folder === '' ? undefined : (folder ?? join(user, 'tensorwright', 'kernels'));
  }

  /** undefined for what is not there, or cannot be read. */
  async read(key: string): Promise<Uint8Array | undefined> {
    if (this.#folder === undefined) return undefined;
    try {
      const bytes = await readFile(join(this.#folder, key));
      return bytes.length > 0 ? new Uint8Array(bytes) : undefined;
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
    } catch {
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }
}
