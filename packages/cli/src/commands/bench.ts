/** `tensorwright bench`: trtexec's job, latency and throughput of a model or a plan. */

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import type { Engine, LayerProfile } from '@tensorwright/runtime';
import { measure, type Measurement } from '../bench/measure.js';
import { type Statistics, statistics } from '../bench/statistics.js';
import { usageError } from '../exit-codes.js';
import { buildPlan, registerOwnBackends } from '../models/build-plan.js';
import { inputValues } from '../models/input-values.js';
import { kindOfFile, networkInputs, parseModel } from '../models/subject.js';
import {
  addBuildOptions,
  addCommonOptions,
  type BuildFlags,
  buildOnly,
  buildOptionsOf,
} from '../options/build-options.js';
import { profilesFrom, resolveShapes, type ShapeSpec } from '../options/shapes.js';
import { durationIn, integerFrom, list, percentages } from '../options/values.js';
import { formatBytes, formatMilliseconds, significant } from '../output/format.js';
import { writeJson } from '../output/json.js';
import { Reporter } from '../output/reporter.js';
import { formatFields, formatTable } from '../output/table.js';
import type { Session } from '../session.js';

interface BenchFlags extends BuildFlags {
  readonly warmUp: number;
  readonly duration: number;
  readonly iterations: number;
  readonly streams: number;
  readonly percentile: readonly number[];
  readonly profile?: number;
  readonly loadInputs?: readonly string[];
  readonly seed: number;
  readonly layers?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose: number;
}

export function define(command: Command, session: Session): void {
  command
    .argument('<model-or-plan>', 'ONNX model, which is built first, or plan')
    .addOption(
      new Option('--warm-up <time>', 'run this long before measuring; a bare number is milliseconds')
        .argParser(durationIn('ms'))
        .default(200, '200ms'),
    )
    .addOption(
      new Option('--duration <time>', 'measure at least this long; a bare number is seconds')
        .argParser(durationIn('s'))
        .default(3000, '3s'),
    )
    .addOption(new Option('--iterations <n>', 'measure at least this many runs').argParser(integerFrom(1)).default(10))
    .addOption(
      new Option('--streams <n>', 'execution contexts that run at the same time')
        .argParser(integerFrom(1, 256))
        .default(1),
    )
    .addOption(
      new Option('--percentile <list>', 'percentiles to report')
        .argParser(percentages)
        .default([50, 90, 95, 99], '50,90,95,99'),
    )
    .addOption(
      new Option(
        '--profile <n>',
        'optimization profile that inputs must fit, and whose optimum is the default shape',
      ).argParser(integerFrom(0)),
    )
    .addOption(
      new Option(
        '--load-inputs <name:file>',
        'inputs from files: raw elements, or TensorProto messages (.pb); others are seeded',
      ).argParser(list),
    )
    .addOption(new Option('--seed <n>', 'of the inputs').argParser(integerFrom(0, 2 ** 31)).default(1))
    .option('--layers', 'report the time of every layer');
  addBuildOptions(command).option('--json', 'print one JSON document');
  addCommonOptions(command).action((path: string, flags: BenchFlags) => bench(path, flags, session, command));
}

async function bench(path: string, flags: BenchFlags, session: Session, command: Command): Promise<void> {
  const reporter = new Reporter(session, flags);
  const kind = await kindOfFile(path);
  if (kind === 'plan') refuseBuildOptions(path, command);
  const opened =
    kind === 'plan' ? await openPlan(path, flags, reporter) : await openModel(path, flags, reporter, session.signal);
  try {
    const inputs = await inputValues(
      opened.engine.inputs,
      {
        shapes: opened.shapes,
        otherwise: optimum(opened.engine, flags.profile ?? 0),
        load: flags.loadInputs,
        seed: flags.seed,
      },
      reporter,
    );
    const { warmUp: warmUpMs, duration: durationMs, iterations, streams, profile } = flags;
    const measurement = await measure(
      opened.engine,
      inputs,
      { warmUpMs, durationMs, iterations, streams, profile },
      reporter,
      session.signal,
    );
    const shapes = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, t.dims]));
    const report = reportOf(path, opened, measurement, flags, shapes);
    if (flags.json) writeJson(session, 'bench', report);
    else session.stdout.write(describe(report, measurement, flags));
  } finally {
    await opened.engine.close();
  }
}

interface Opened {
  readonly engine: Engine;
  readonly shapes: ShapeSpec | undefined;
  readonly buildMs?: number;
  readonly loadMs: number;
  readonly planBytes: number;
}

function refuseBuildOptions(path: string, command: Command): void {
  for (const name of buildOnly) {
    if (command.getOptionValueSource(name) !== 'cli') continue;
    const option = command.options.find((o) => o.attributeName() === name)!;
    throw usageError(`${option.long!} is for building, and '${basename(path)}' is a plan already`);
  }
}

async function openPlan(path: string, flags: BenchFlags, reporter: Reporter): Promise<Opened> {
  const { Runtime } = await import('@tensorwright/runtime');
  await registerOwnBackends();
  const started = performance.now();
  const engine = await Runtime.load(path, {
    logger: reporter.logger,
    ...(flags.threads !== undefined && { threads: flags.threads }),
  });
  return { engine, shapes: flags.shapes?.[0], loadMs: performance.now() - started, planBytes: (await stat(path)).size };
}

async function openModel(path: string, flags: BenchFlags, reporter: Reporter, signal: AbortSignal): Promise<Opened> {
  const { Runtime } = await import('@tensorwright/runtime');
  const network = await parseModel(path, reporter, signal);
  const inputs = networkInputs(network);
  const ranges = flags.minShapes ?? flags.optShapes ?? flags.maxShapes;
  let shapes = flags.shapes?.[0];
  let profiles = profilesFrom(flags, inputs);
  if (!ranges) {
    // As trtexec: without ranges the engine is built for the very shapes it is measured at.
    const { dims, assumed } = resolveShapes(inputs, shapes);
    if (assumed.length > 0) reporter.note(`dimensions ${assumed.join(', ')} are taken to be 1; --shapes gives others`);
    const dynamic = new Set(inputs.filter((i) => i.dims?.some((d) => typeof d === 'string')).map((i) => i.name));
    profiles = [Object.fromEntries([...dims].filter(([name]) => dynamic.has(name)))];
    shapes = dims;
  }
  const { plan, milliseconds: buildMs } = await buildPlan(network, buildOptionsOf(flags, profiles), reporter, signal);
  const started = performance.now();
  const engine = await Runtime.load(plan, {
    logger: reporter.logger,
    ...(flags.threads !== undefined && { threads: flags.threads }),
  });
  return { engine, shapes, buildMs, loadMs: performance.now() - started, planBytes: plan.byteLength };
}

function optimum(engine: Engine, profile: number): Map<string, readonly number[]> {
  return new Map(Object.entries(engine.profiles[profile]?.inputs ?? {}).map(([name, { opt }]) => [name, opt]));
}

interface BenchReport extends Record<string, unknown> {
  readonly subject: string;
  readonly backends: readonly string[];
  readonly throughput: number;
  readonly latencyMs: Statistics;
  readonly computeMs: Statistics;
  readonly deviceMs: Statistics | null;
  readonly enqueueMs: Statistics | null;
  readonly runs: number;
  readonly wallMs: number;
  readonly buildMs: number | null;
  readonly loadMs: number;
  readonly planBytes: number;
  readonly contextBytes: number;
}

function reportOf(
  path: string,
  opened: Opened,
  m: Measurement,
  flags: BenchFlags,
  shapes: Readonly<Record<string, readonly number[]>>,
): BenchReport {
  return {
    subject: path,
    shapes,
    backends: opened.engine.inspect().backends.map((b) => b.name),
    streams: flags.streams,
    threads: flags.threads ?? null,
    runs: m.latencies.length,
    wallMs: m.wallMs,
    /** Runs a second. */
    throughput: (m.latencies.length / m.wallMs) * 1000,
    latencyMs: statistics(m.latencies, flags.percentile),
    computeMs: statistics(m.compute, flags.percentile),
    /** Of the device: kernels as one graph, without transfers; and of the host, to start that graph. */
    deviceMs: m.device ? statistics(m.device.device.map(milliseconds), flags.percentile) : null,
    enqueueMs: m.device ? statistics(m.device.enqueue.map(milliseconds), flags.percentile) : null,
    buildMs: opened.buildMs ?? null,
    loadMs: opened.loadMs,
    planBytes: opened.planBytes,
    contextBytes: m.contextBytes,
    ...(flags.layers && {
      layers: m.layers.map((l) => ({ ...l, microseconds: l.microseconds / Math.max(1, l.calls) })),
    }),
  };
}

function describe(r: BenchReport, m: Measurement, flags: BenchFlags): string {
  const fields: [string, string][] = [
    ['subject', `${basename(r.subject)} on ${r.backends.join(', ')}, plan ${formatBytes(r.planBytes)}`],
    [
      'opened',
      `${r.buildMs === null ? '' : `built in ${formatMilliseconds(r.buildMs)}, `}loaded in ${formatMilliseconds(r.loadMs)}`,
    ],
    ['memory', `${formatBytes(r.contextBytes)} a context`],
    ['runs', `${r.runs} in ${formatMilliseconds(r.wallMs)}${flags.streams > 1 ? ` on ${flags.streams} streams` : ''}`],
    ['throughput', `${significant(r.throughput, 4)} runs/s`],
    ['latency', timeLine(r.latencyMs)],
    ['compute', timeLine(r.computeMs)],
  ];
  if (r.deviceMs && r.enqueueMs) {
    const rest = m.device?.complete === true ? '' : ' (a part of the layers: others run elsewhere)';
    fields.push(['device', `${timeLine(r.deviceMs)}${rest}`], ['enqueue', timeLine(r.enqueueMs)]);
  }
  return formatFields(fields) + (flags.layers ? `\n${layerTable(m.layers)}` : '');
}

const milliseconds = (microseconds: number): number => microseconds / 1000;

function timeLine({ min, max, mean, median, percentiles }: Statistics): string {
  const middle: [string, number][] = '50' in percentiles ? [] : [['median', median]];
  const named: [string, number][] = [
    ['min', min],
    ['max', max],
    ['mean', mean],
    ...middle,
    ...Object.entries(percentiles).map(([p, t]): [string, number] => [`${p} %`, t]),
  ];
  return named.map(([name, ms]) => `${name} ${formatMilliseconds(ms)}`).join(', ');
}

function layerTable(layers: readonly LayerProfile[]): string {
  const mean = (l: LayerProfile): number => l.microseconds / Math.max(1, l.calls);
  const total = layers.reduce((sum, l) => sum + mean(l), 0);
  return formatTable(
    [
      { title: 'layer', maxWidth: 56 },
      { title: 'kind' },
      { title: 'tactic' },
      { title: 'µs', align: 'right' },
      { title: '%', align: 'right' },
    ],
    layers.map((l) => [
      l.name,
      l.kind,
      `${l.backend} ${l.tactic}`,
      mean(l).toFixed(1),
      ((100 * mean(l)) / Math.max(total, 1e-9)).toFixed(1),
    ]),
  );
}
