// Tests as files that need nothing installed: `node OUTDIR/main.mjs` runs them.
import { readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { bundle } from '../bundle.mjs';

const packages = resolve(import.meta.dirname, '../../packages');
const folders = {
  'backend-cuda': /./,
  plugins: /./,
  builder: /backend-order|choose|cold|left-out|merge-reads|tensor-float/,
};
// What looks into the clone around it, replaces modules, or compiles for no device.
const leftOut = {
  'backend-cuda': /^(compile|load|threads|unavailable|zoo-chains)\./,
  plugins: /^(cuda|debug|templates|version)\.|librar|records/,
};

/** Those of what computes on a device: their files by the names they get. */
export function deviceTests() {
  const tests = Object.entries(folders).flatMap(([name, wanted]) =>
    readdirSync(join(packages, name, 'test'))
      .filter((f) => f.endsWith('.test.ts') && wanted.test(f) && !leftOut[name]?.test(f))
      .map((f) => [`${name}-${basename(f, '.ts')}`, join(packages, name, 'test', f)]),
  );
  return Object.fromEntries(tests);
}

export function bundleTests(outdir, tests) {
  const [main, file, vitest] = ['main', 'file', 'vitest'].map((name) => join(import.meta.dirname, `${name}.mjs`));
  return bundle({
    entryPoints: { main, file, ...tests },
    // One runner for a file of tests and for what runs it.
    splitting: true,
    alias: { vitest },
    outdir,
  });
}
