// node scripts/from-source.mjs FILE.ts [ARGUMENT …]
// Runs a program of the repository from the sources as they are: bundled, so that no package need be built first.

import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bundle } from './bundle.mjs';

const root = resolve(import.meta.dirname, '..');
const [entry, ...rest] = process.argv.slice(2);
const folder = join(root, '.cache', `run-${process.pid}`);
mkdirSync(folder, { recursive: true });
try {
  await bundle({
    entryPoints: { program: resolve(root, entry) },
    outdir: folder,
    sourcemap: 'inline',
  });
  // A bundle lies elsewhere than the loader's source: tell it where the addon and the kernel library are.
  const env = {
    TENSORWRIGHT_NATIVE_PATH: join(root, 'native/build/Release/tensorwright.node'),
    TENSORWRIGHT_KERNELS: join(root, 'native/cuda/kernels'),
    ...process.env,
  };
  const { status, signal } = spawnSync(
    process.execPath,
    ['--enable-source-maps', join(folder, 'program.mjs'), ...rest],
    { stdio: 'inherit', env },
  );
  process.exitCode = signal ? 1 : (status ?? 1);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
