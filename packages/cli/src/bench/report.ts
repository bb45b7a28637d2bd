/** What `tensorwright bench` has found, as data and as text. */

import { basename } from 'node:path';
import type { Engine, LayerProfile } from '@tensorwright/runtime';
import { formatBytes, formatMilliseconds, significant } from '../output/format.js';
import { formatFields, formatTable } from '../output/table.js';
import type { Measurement, ProfileTimes } from './measure.js';
import { type Statistics, statistics } from './statistics.js';

/** An engine, and what it took to have it. */
export interface Opened {
  readonly engine: Engine;
  readonly buildMs?: number;
  readonly loadMs: number;
  readonly planBytes: number;
}

export interface ReportFlags {
  readonly streams: number;
  readonly threads?: number;
  readonly percentile: readonly number[];
  readonly graphs: boolean;
  readonly layers?: boolean;
}

/** One profile at its optimum. */
export interface ProfileReport {
  readonly index: number;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly latencyMs: Statistics;
  readonly deviceMs: Statistics | null;
  readonly enqueueMs: Statistics | null;
}

export interface BenchReport extends Record<string, unknown> {
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
  /** Bytes that one context holds, of both memories. */
  readonly contextBytes: number;
  /** What of it is a device's. */
  readonly contextDeviceBytes: number;
  /** Of the host, for copies to and from a device, besides. */
  readonly stagingBytes: number;
  /** Weights in a device's memory, shared by all contexts. */
  readonly deviceWeightBytes: number;
  readonly graphs: boolean;
  readonly profiles?: readonly ProfileReport[];
}

export function reportOf(
  path: string,
  opened: Opened,
  m: Measurement,
  flags: ReportFlags,
  shapes: Readonly<Record<string, readonly number[]>>,
): BenchReport {
  const inspection = opened.engine.inspect();
  return {
    subject: path,
    shapes,
    backends: inspection.backends.map((b) => b.name),
    graphs: flags.graphs,
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
    contextBytes: m.memory.arena + m.memory.heap + m.memory.workspace,
    contextDeviceBytes: m.memory.device,
    stagingBytes: m.memory.staging,
    deviceWeightBytes: inspection.memory.deviceWeights,
    ...(m.profiles && { profiles: m.profiles.map((p) => profileReport(p, flags.percentile)) }),
    ...(flags.layers && {
      layers: m.layers.map((l) => ({
        ...l,
        microseconds: meanOf(l, l.microseconds),
        waits: meanOf(l, l.waits),
        copiedBytes: meanOf(l, l.copiedBytes),
      })),
    }),
  };
}

export function describe(r: BenchReport, m: Measurement, flags: ReportFlags): string {
  const fields: [string, string][] = [
    ['subject', `${basename(r.subject)} on ${r.backends.join(', ')}, plan ${formatBytes(r.planBytes)}`],
    [
      'opened',
      `${r.buildMs === null ? '' : `built in ${formatMilliseconds(r.buildMs)}, `}loaded in ${formatMilliseconds(r.loadMs)}`,
    ],
    ['memory', memoryLine(r)],
    ['runs', `${r.runs} in ${formatMilliseconds(r.wallMs)}${flags.streams > 1 ? ` on ${flags.streams} streams` : ''}`],
    ['throughput', `${significant(r.throughput, 4)} runs/s`],
    ['latency', timeLine(r.latencyMs)],
    ['compute', timeLine(r.computeMs)],
  ];
  if (r.deviceMs && r.enqueueMs) {
    const rest = m.device?.complete === true ? '' : ' (a part of the layers: others run elsewhere)';
    fields.push(['device', `${timeLine(r.deviceMs)}${rest}`], ['enqueue', timeLine(r.enqueueMs)]);
  }
  for (const p of r.profiles ?? [])
    fields.push([`profile ${p.index}`, p.deviceMs ? timeLine(p.deviceMs) : `runs in ${timeLine(p.latencyMs)}`]);
  return formatFields(fields) + (flags.layers ? `\n${layerTable(m.layers)}` : '');
}

function memoryLine(r: BenchReport): string {
  const parts = [`${formatBytes(r.contextBytes)} a context`];
  if (r.contextDeviceBytes > 0) parts.push(`${formatBytes(r.contextDeviceBytes)} of it on the device`);
  if (r.deviceWeightBytes > 0) parts.push(`${formatBytes(r.deviceWeightBytes)} of weights there`);
  if (r.stagingBytes > 0) parts.push(`${formatBytes(r.stagingBytes)} for copies`);
  return parts.join(', ');
}

function profileReport(p: ProfileTimes, percentile: readonly number[]): ProfileReport {
  return {
    index: p.index,
    shapes: p.shapes,
    latencyMs: statistics(p.latencies, percentile),
    deviceMs: p.device ? statistics(p.device.device.map(milliseconds), percentile) : null,
    enqueueMs: p.device ? statistics(p.device.enqueue.map(milliseconds), percentile) : null,
  };
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

/** Of one call. */
function meanOf({ calls }: LayerProfile, sum: number): number {
  return sum / Math.max(1, calls);
}

function layerTable(layers: readonly LayerProfile[]): string {
  const mean = (l: LayerProfile): number => meanOf(l, l.microseconds);
  const total = layers.reduce((sum, l) => sum + mean(l), 0);
  // Few networks make the host wait for the device.
  const waits = layers.some((l) => l.waits > 0);
  const copies = layers.some((l) => l.copiedBytes > 0);
  return formatTable(
    [
      { title: 'layer', maxWidth: 56 },
      { title: 'kind' },
      { title: 'tactic' },
      { title: 'µs', align: 'right' },
      { title: '%', align: 'right' },
      ...(waits ? [{ title: 'waits', align: 'right' } as const] : []),
      ...(copies ? [{ title: 'copied', align: 'right' } as const] : []),
    ],
    layers.map((l) => [
      l.name,
      l.kind,
      `${l.backend} ${l.tactic}`,
      mean(l).toFixed(1),
      ((100 * mean(l)) / Math.max(total, 1e-9)).toFixed(1),
      ...(waits ? [meanOf(l, l.waits).toFixed(0)] : []),
      ...(copies ? [formatBytes(meanOf(l, l.copiedBytes))] : []),
    ]),
  );
}
