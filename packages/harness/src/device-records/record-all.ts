/** Puts what a run of the suite has left into the records of a device, in place of what they say of the same. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConformanceReport } from '../conformance/report.js';
import type { DevicesReport } from '../devices/report.js';
import { type DeviceRecord, recorded as recordedPlugins } from '../plugins/recorded.js';
import type { Result as PluginResult } from '../plugins/result.js';
import { tableOf } from '../plugins/table.js';
import type { ModelReport } from '../zoo/run-model.js';
import { type AccuracyRecord, type Precision, recordedAccuracy } from './accuracy.js';
import { type BuildReport, type BuildsRecord, recordedBuilds } from './builds.js';
import { type ConformanceRecord, recordedConformance } from './conformance.js';
import { recordedDevices } from './devices.js';
import { type KernelResult, recordedKernels } from './kernels.js';
import { type LatencyRecord, type LatencyReport, type PytorchLine, recordedLatency, unrecorded } from './latency.js';
import { latencyTable } from './latency-table.js';
import { type LibraryReport, recordedLibrary } from './library.js';
import type { Measurement } from './measurement.js';
import { withTable } from './page.js';
import type { ResultsFolder } from './results-folder.js';
import { recordedStreams, soakReportIn, type StreamsRecord } from './streams.js';
import { recordedTests, type TestsReport } from './tests.js';

export interface RecordJob {
  readonly results: ResultsFolder;
  /** Lines of bench/pytorch.py, where they are not in the folder. */
  readonly pytorch: string | undefined;
  /** Folder of the records. */
  readonly records: string;
  /** The page with the table of latencies. */
  readonly latencyPage: string;
  /** The page with the table of plugins' times. */
  readonly pluginsPage: string;
  readonly measurement: Measurement;
}

export interface Recorded {
  /** Files that were written. */
  readonly written: readonly string[];
  /** What was measured and has no place in a record. */
  readonly left: readonly string[];
}

type Part = (job: RecordJob) => Promise<Recorded>;
const nothing: Recorded = { written: [], left: [] };

/** @throws Error that names the file which is not what the suite writes; files before it have been written */
export async function recordAll(job: RecordJob): Promise<Recorded> {
  const parts: readonly Part[] = [
    latencies,
    builds,
    accuracies,
    conformance,
    tests,
    kernels,
    library,
    streams,
    devices,
    plugins,
  ];
  const done: Recorded[] = [];
  for (const part of parts) done.push(await part(job));
  return { written: done.flatMap((d) => d.written), left: done.flatMap((d) => d.left) };
}

async function older<T>({ records }: RecordJob, name: string): Promise<T> {
  return JSON.parse(await readFile(join(records, name), 'utf8')) as T;
}

async function write({ records }: RecordJob, name: string, record: unknown): Promise<Recorded> {
  const file = join(records, name);
  await writeFile(file, `${JSON.stringify(record, null, 2)}\n`);
  return { written: [file], left: [] };
}

async function writeTable(page: string, name: string, table: string): Promise<void> {
  await writeFile(page, withTable(await readFile(page, 'utf8'), name, table));
}

const latencyName = /^(latency|own)-.+-(\d+)-(\d+)\.json$/;

async function latencies(job: RecordJob): Promise<Recorded> {
  const { results, measurement } = job;
  const reports: LatencyReport[] = [];
  for (const name of results.names) {
    const [, kind, batch, sequence] = latencyName.exec(name) ?? [];
    if (kind === undefined) continue;
    const [report] = (await results.json<ModelReport[]>(name))!;
    if (report) reports.push({ report, batch: Number(batch), sequence: Number(sequence), own: kind === 'own' });
  }
  const log = job.pytorch ?? (await results.text('pytorch.jsonl')) ?? (await results.text('pytorch.log')) ?? '';
  const times = log.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as PytorchLine] : []));
  if (reports.length + times.length === 0) return nothing;
  const name = 'h200-fp16-latency.json';
  const record = await older<LatencyRecord>(job, name);
  const next = recordedLatency(record, reports, times, measurement);
  const { written } = await write(job, name, next);
  await writeTable(job.latencyPage, 'latencies', latencyTable(next));
  return { written: [...written, job.latencyPage], left: unrecorded(record, reports, times) };
}

async function builds(job: RecordJob): Promise<Recorded> {
  const reports: BuildReport[] = [];
  for (const file of job.results.names) {
    const [, kind, batch] = /^(cold|cached)-.+-(\d+)-\d+\.json$/.exec(file) ?? [];
    if (kind === undefined) continue;
    const [report] = (await job.results.json<ModelReport[]>(file))!;
    if (report) reports.push({ report, batch: Number(batch), cached: kind === 'cached' });
  }
  if (reports.length === 0) return nothing;
  const left = reports.flatMap(({ report: { name, error } }) =>
    error === null ? [] : [`${name}: ${error.split('\n')[0]!}`],
  );
  const name = 'h200-builds.json';
  const record = recordedBuilds(await older<BuildsRecord>(job, name), reports, job.measurement);
  return { ...(await write(job, name, record)), left };
}

async function accuracies(job: RecordJob): Promise<Recorded> {
  const reports: Partial<Record<Precision, readonly ModelReport[]>> = {};
  for (const precision of ['fp32', 'fp16', 'bf16'] as const) {
    const measured = await job.results.json<ModelReport[]>(`zoo-${precision}.json`);
    if (measured) reports[precision] = measured;
  }
  if (Object.keys(reports).length === 0) return nothing;
  const name = 'h200-zoo-accuracy.json';
  const record = recordedAccuracy(await older<AccuracyRecord>(job, name), reports, job.measurement);
  const left = Object.entries(reports).flatMap(([precision, of]) =>
    of.flatMap((r) => (r.error === null ? [] : [`${r.name} in ${precision}: ${r.error.split('\n')[0]!}`])),
  );
  return { ...(await write(job, name, record)), left };
}

/** By what the names have in the place of `*`. */
async function logs({ results }: RecordJob, stage: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of results.names) {
    const which = name.startsWith(`${stage}-`) && name.endsWith('.log') ? name.slice(stage.length + 1, -4) : undefined;
    if (which !== undefined) found[which] = (await results.text(name))!;
  }
  return found;
}

async function conformance(job: RecordJob): Promise<Recorded> {
  const report = await job.results.json<ConformanceReport>('conformance.json');
  const watched = await logs(job, 'sanitizer');
  if (!report && Object.keys(watched).length === 0) return nothing;
  const name = 'h200-conformance.json';
  const record = await older<ConformanceRecord>(job, name);
  return write(job, name, recordedConformance(record, report, watched, job.measurement));
}

async function kernels(job: RecordJob): Promise<Recorded> {
  const results = await job.results.json<KernelResult[]>('kernels.json');
  return results ? write(job, 'h200-kernels.json', recordedKernels(results, job.measurement)) : nothing;
}

async function tests(job: RecordJob): Promise<Recorded> {
  const report = await job.results.json<TestsReport>('tests.json');
  return report ? write(job, 'h200-tests.json', recordedTests(report, job.measurement)) : nothing;
}

async function library(job: RecordJob): Promise<Recorded> {
  const report = await job.results.json<LibraryReport>('plugin-library.json');
  return report ? write(job, 'h200-plugin-library.json', recordedLibrary(report, job.measurement)) : nothing;
}

async function streams(job: RecordJob): Promise<Recorded> {
  const measured = await logs(job, 'streams');
  const log = await job.results.text('soak.log');
  const soak = log === undefined ? undefined : soakReportIn(log);
  if (!soak && Object.keys(measured).length === 0)
    return { written: [], left: log === undefined ? [] : ['soak: its log has no report'] };
  const name = 'h200-streams-soak.json';
  const record = recordedStreams(await older<StreamsRecord>(job, name), measured, soak, job.measurement);
  const left = log !== undefined && !soak ? ['soak: its log has no report'] : [];
  return { ...(await write(job, name, record)), left };
}

async function devices(job: RecordJob): Promise<Recorded> {
  const report = await job.results.json<DevicesReport>('devices.json');
  if (!report) return nothing;
  if (report.devices < 2) return { written: [], left: ['devices: the record is of several, and there was one'] };
  return write(job, 'h200-devices.json', recordedDevices(report, job.measurement));
}

async function plugins(job: RecordJob): Promise<Recorded> {
  const measured = job.results.names.filter((n) => /^plugins(-small)?\.json$/.test(n));
  if (measured.length === 0) return nothing;
  const name = 'h200-plugins.json';
  let record = await older<DeviceRecord>(job, name);
  for (const file of measured)
    record = recordedPlugins(record, (await job.results.json<PluginResult[]>(file))!, job.measurement);
  const { written } = await write(job, name, record);
  await writeTable(job.pluginsPage, 'times', tableOf(record));
  return { written: [...written, job.pluginsPage], left: [] };
}
