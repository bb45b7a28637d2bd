// node scripts/evaluate-conformance.mjs [--summary] [--symbolic] [--written] [FILTER …]
// ONNX conformance cases through parse and the operators' own evaluation, from the sources as they are. A FILTER is a
// part of a case's name, or op:NAME for the cases with that operator; --symbolic makes every input extent a symbol,
// --written writes each network as ONNX and evaluates what is read from that. Data: ../shared/onnx-conformance, or CONFORMANCE_DIR.

import { mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = resolve(import.meta.dirname, '..');
const support = join(root, 'packages/parser-onnx/test/support');
const folder = mkdtempSync(join(root, 'node_modules/.conformance-'));
try {
  const outfile = join(folder, 'bundle.mjs');
  await build({
    entryPoints: [join(support, 'evaluate-conformance.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    conditions: ['@tensorwright/source'],
    // Operators register themselves on import.
    ignoreAnnotations: true,
    external: ['protobufjs', 'protobufjs/*'],
    define: { 'import.meta.dirname': JSON.stringify(support) },
    outfile,
    logLevel: 'error',
  });
  const { main } = await import(pathToFileURL(outfile).href);
  process.exitCode = await main(process.argv.slice(2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
