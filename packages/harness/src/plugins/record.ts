/**
 * node scripts/from-source.mjs packages/harness/src/plugins/record.ts MEASURED.json --device 'NVIDIA H200' --date 2026-11-21 --commit c2e06a6 --command '…'
 * In the root of the repository. Puts what a run of the suite measured on a device into bench/results/h200-plugins.json, in place of what it says of the
 * same plugins and problems, and writes the table of times in packages/plugins/docs/stock.md anew.
 */

import { readFile, writeFile } from 'node:fs/promises';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { type DeviceRecord, recorded } from './recorded.js';
import type { Result } from './result.js';
import { tableOf, withTable } from './table.js';

/** From the root of the repository. */
const file = 'bench/results/h200-plugins.json';
const page = 'packages/plugins/docs/stock.md';

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: argv.slice(2),
    options: { device: text, date: text, commit: text, command: text },
    allowPositionals: true,
  });
  const { device = '', date = '', commit = '', command = '' } = values;
  let record = JSON.parse(await readFile(file, 'utf8')) as DeviceRecord;
  for (const measured of positionals)
    record = recorded(record, JSON.parse(await readFile(measured, 'utf8')) as Result[], {
      ...{ device, date, commit, command },
    });
  await writeFile(file, `${JSON.stringify(record, null, 2)}\n`);
  await writeFile(page, withTable(await readFile(page, 'utf8'), tableOf(record)));
  stdout.write(`${tableOf(record)}\n`);
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
