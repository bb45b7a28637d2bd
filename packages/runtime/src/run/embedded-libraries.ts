/** Plugin libraries that a plan carries: code, which is loaded only where the host allows it. */

import { pluginTitle, TensorwrightError } from '@tensorwright/core';
import { loadNative, type PluginLibraryHandle } from '@tensorwright/native';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlanSource } from '../plan/plan-source.js';
import type { ReadPlan } from '../plan/read-plan.js';

const platform = `${process.platform}-${process.arch}`;

/** One load after the other: what one finds in the process while another has its libraries there is soon gone. */
let turn: Promise<void> = Promise.resolve();

/** Libraries by way of files that only this user can read, each in a folder of its own. */
export class EmbeddedLibraries {
  readonly #files: { readonly folder: string; readonly path: string }[] = [];
  readonly #handles: PluginLibraryHandle[] = [];

  /**
   * Calls what makes the plan's steps: during that, and no longer, the process finds the libraries that it does not have
   * yet. The steps keep their code.
   * @throws ERR_PLUGIN when that is not allowed, or a library is for another platform, damaged or cannot be loaded
   */
  async during<T>(read: ReadPlan, source: PlanSource, isAllowed: boolean, work: () => Promise<T>): Promise<T> {
    if ((read.header.libraries ?? []).length === 0) return work();
    const before = turn;
    let end!: () => void;
    turn = new Promise((resolve) => {
      end = resolve;
    });
    await before;
    try {
      await this.#writeMissing(read, source, isAllowed);
      for (const { path } of this.#files) this.#handles.push(loadNative().openPlugins(path));
      return await work();
    } finally {
      for (const handle of this.#handles.splice(0)) handle.close();
      // Windows keeps the files of what is loaded.
      if (process.platform !== 'win32') this.remove();
      end();
    }
  }

  async #writeMissing({ header, librariesOffset }: ReadPlan, source: PlanSource, isAllowed: boolean): Promise<void> {
    for (const library of header.libraries ?? []) {
      const missing = library.plugins.filter((key) => !loadNative().hasPlugin(key));
      if (missing.length === 0) continue;
      const refuse = (why: string): never => {
        const titles = missing.map(pluginTitle).join(', ');
        const place = `${source.place}: the plan carries plugin ${titles} in '${library.name}'`;
        const details = { file: source.place, library: library.name, plugins: library.plugins };
        throw new TensorwrightError('ERR_PLUGIN', `${place}, ${why}`, details);
      };
      if (!isAllowed)
        refuse('and this host does not allow code from plans: load the library, or pass { allowCodeFromPlan: true }');
      if (library.platform !== platform) refuse(`which is for ${library.platform}; this is ${platform}`);
      const bytes = await source.read(librariesOffset + library.offset, library.bytes);
      if (digestOf(bytes) !== library.digest) refuse("which is damaged: its digest is not the header's");
      await this.#write(bytes);
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'tensorwright-plugins-'));
    const path = join(folder, process.platform === 'win32' ? 'plugins.dll' : 'plugins.so');
    this.#files.push({ folder, path });
    await writeFile(path, bytes, { mode: 0o700, flag: 'wx' });
  }

  /** The files, when nothing uses their code any more. */
  remove(): void {
    for (const { folder } of this.#files.splice(0)) {
      try {
        rmSync(folder, { recursive: true, force: true });
      } catch {
        // Something uses it after all: it stays in the folder of temporary files.
      }
    }
  }
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
