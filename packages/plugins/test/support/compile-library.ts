/** Compiles plugin libraries of tests, into a folder that goes with the test. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';

const root = join(import.meta.dirname, '..', '..', '..', '..');
const compilers = {
  '.c': [process.env['CC'] ?? 'cc', '-std=c99'],
  '.cpp': [process.env['CXX'] ?? 'c++', '-std=c++17'],
};

export const hasCompiler: boolean =
  process.platform === 'linux' && Object.values(compilers).every(([c]) => spawnSync(c!, ['--version']).status === 0);

export class LibraryFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'tensorwright-library-'));

  /** @returns the library's path */
  compile(file: string, source: string, ...options: string[]): string {
    const path = join(this.path, file);
    const [compiler, standard] = compilers[extname(source) as '.c' | '.cpp'];
    const include = `-I${join(root, 'native', 'include')}`;
    const made = spawnSync(compiler!, [
      standard!,
      '-O1',
      '-fPIC',
      '-shared',
      '-Wall',
      '-Wextra',
      '-Werror',
      include,
      ...options,
      source,
      '-o',
      path,
    ]);
    if (made.status !== 0) throw new Error(made.stderr.toString());
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}
