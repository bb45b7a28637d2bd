/**
 * node scripts/from-source.mjs packages/harness/src/device-records/main.ts RESULTS [--pytorch pytorch.jsonl] --device 'NVIDIA H200' --date 2026-11-21 --commit c2e06a6 --command '…'
 * In the root of the repository. Puts what the suite left in its folder of results into bench/results/h200-*.json, in place of what these say of the same:
 * latency-MODEL-BATCH-SEQUENCE.json, own-MODEL-BATCH-SEQUENCE.json (with --tactic-sources none), pytorch.jsonl or pytorch.log, zoo-PRECISION.json,
 * cold-MODEL-BATCH-SEQUENCE.json, cached-MODEL-BATCH-SEQUENCE.json, conformance.json, sanitizer-TOOL.log, tests.json, kernels.json, plugin-library.json, streams-N.log, soak.log, devices.json, plugins.json, plugins-small.json.
 * Exits with 1 where something was measured that no record has a place for, and says what.
 */

import { readFile } from 'node:fs/promises';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { recordAll } from './record-all.js';
import { resultsFolder } from './results-folder.js';

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: argv.slice(2),
    options: { pytorch: text, device: text, date: text, commit: text, command: text },
    allowPositionals: true,
  });
  const { pytorch, device, date, commit, command } = values;
  if (!device || !date || !commit || !command) throw new Error('expected --device, --date, --commit and --command');
  const [folder, ...others] = positionals;
  if (folder === undefined || others.length > 0) throw new Error('expected the folder of results');
  const { written, left } = await recordAll({
    results: await resultsFolder(folder),
    pytorch: pytorch === undefined ? undefined : await readFile(pytorch, 'utf8'),
    records: 'bench/results',
    latencyPage: 'bench/README.md',
    pluginsPage: 'packages/plugins/docs/stock.md',
    measurement: { date, device, commit, command },
  });
  if (written.length === 0) throw new Error(`'${folder}' has no results of the suite`);
  for (const what of left) stderr.write(`not recorded: ${what}\n`);
  stdout.write(`${written.join('\n')}\nnpx prettier --write ${written.join(' ')} has them as the repository does\n`);
  if (left.length > 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
