import { copyFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Options } from 'tsup';

const license = fileURLToPath(new URL('../LICENSE', import.meta.url));

/** How every package is built: one ES module with its types, for the oldest Node.js we support. */
export function library(options: { entry: [index: string, ...programs: string[]] }): Options {
  return {
    ...options,
    format: 'esm',
    target: 'node20',
    platform: 'node',
    dts: { entry: options.entry[0] },
    sourcemap: true,
    clean: true,
    splitting: true,
    // Packages are also tested straight from source, where a dead import would only slow things down.
    treeshake: false,
    onSuccess: async () => {
      copyFileSync(license, 'dist/LICENSE');
    },
  };
}
