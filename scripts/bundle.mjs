// Programs of the repository as files of their own, from the sources as they are: no package need be built first.
import { join, resolve } from 'node:path';
import { build } from 'esbuild';

const root = resolve(import.meta.dirname, '..');

export async function bundle(options) {
  await build({
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@tensorwright/source'],
    // Operators and backends register themselves on import.
    ignoreAnnotations: true,
    external: ['onnxruntime-node', '*.node'],
    // Backends are found by name at run time: in a bundle they must already be there.
    inject: [join(root, 'scripts/bundled-backends.ts')],
    banner: {
      js: "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);",
    },
    outExtension: { '.js': '.mjs' },
    logLevel: 'error',
    ...options,
  });
}
