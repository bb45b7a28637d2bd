/**
 * node scripts/from-source.mjs packages/harness/src/device-records/main.ts RESULTS [--pytorch pytorch.jsonl] --device 'NVIDIA H200' --date 2026-11-21 --commit c2e06a6 --command '…'
 * In the root of the repository. Puts what the suite's stages `latency` and `zoo` left in their folder of results into bench/results, in place of what it
 * says of the same networks: latency-MODEL-BATCH-SEQUENCE.json, own-MODEL-BATCH-SEQUENCE.json (with --tactic-sources none) and zoo-PRECISION.json.
 */

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import type { ModelReport } from '../zoo/run-model.js';
import { type AccuracyRecord, type Precision, recordedAccuracy } from './accuracy.js';
import { type LatencyRecord, type LatencyReport, type PytorchLine, recordedLatency } from './latency.js';

/** From the root of the repository. */
const latencyFile = 'bench/results/h200-fp16-latency.json';
const accuracyFile = 'bench/results/h200-zoo-accuracy.json';

async function json<T>(file: string): Promise<T> {
  return JSON.parse(await readFile(file, 'utf8')) as T;
}

async function latencyReports(folder: string, names: readonly string[]): Promise<LatencyReport[]> {
  const reports: LatencyReport[] = [];
  for (const name of names) {
    const [, kind, batch, sequence] = /^(latency|own)-.+-(\d+)-(\d+)\.json$/.exec(name) ?? [];
    if (kind === undefined) continue;
    const [report] = await json<ModelReport[]>(join(folder, name));
    if (report) reports.push({ report, batch: Number(batch), sequence: Number(sequence), own: kind === 'own' });
  }
  return reports;
}

async function accuracyReports(
  folder: string,
  names: readonly string[],
): Promise<Partial<Record<Precision, readonly ModelReport[]>>> {
  const reports: Partial<Record<Precision, readonly ModelReport[]>> = {};
  for (const precision of ['fp32', 'fp16', 'bf16'] as const) {
    const name = `zoo-${precision}.json`;
    if (names.includes(name)) reports[precision] = await json(join(folder, name));
  }
  return reports;
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: argv.slice(2),
    options: { pytorch: text, device: text, date: text, commit: text, command: text },
    allowPositionals: true,
  });
  const { pytorch, device, date, commit, command } = values;
  if (!device || !date || !commit || !command) throw new Error('expected --device, --date, --commit and --command');
  const measurement = { date, device, commit, command };
  const [folder] = positionals;
  if (folder === undefined) throw new Error('expected the folder of results');
  const names = await readdir(folder);
  const lines = pytorch === undefined ? [] : (await readFile(pytorch, 'utf8')).split('\n').filter((l) => l !== '');
  const times = lines.map((l) => JSON.parse(l) as PytorchLine);
  const latencies = await latencyReports(folder, names);
  if (latencies.length + times.length > 0) {
    const record = recordedLatency(await json<LatencyRecord>(latencyFile), latencies, times, measurement);
    await writeFile(latencyFile, `${JSON.stringify(record, null, 2)}\n`);
    for (const { name, batch, sequence, deviceMs, ratio, ownKernelsMs, commit: of } of record.rows)
      stdout.write(
        `${[name, batch, sequence ?? '', deviceMs, ratio ?? '', ownKernelsMs ?? '', of ?? ''].join('\t')}\n`,
      );
  }
  const accuracies = await accuracyReports(folder, names);
  if (Object.keys(accuracies).length > 0) {
    const record = recordedAccuracy(await json<AccuracyRecord>(accuracyFile), accuracies, measurement);
    await writeFile(accuracyFile, `${JSON.stringify(record, null, 2)}\n`);
    for (const [precision, rows] of Object.entries(record.precisions)) {
      const own = rows.filter((r) => r.commit === undefined);
      const worst = own.reduce((most, r) => Math.max(most, r.nrms ?? 0, ...(r.heads ?? []).map((h) => h.nrms)), 0);
      stdout.write(
        `${precision}\t${String(own.length)} of ${String(rows.length)}, largest error ${worst.toExponential(1)}\n`,
      );
    }
  }
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
