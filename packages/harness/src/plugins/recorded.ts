/** What is kept of measurements on a device: bench/results/h200-plugins.json. */

import type { FloatType } from './case.js';
import type { Result } from './result.js';

/** Microseconds. */
interface Times {
  /** Of the device. */
  readonly plugin?: number;
  readonly standard?: number;
  /** Of whole runs, where the values decide extents within one of the two. */
  readonly pluginRun?: number;
  readonly standardRun?: number;
}

interface Measurement {
  readonly date: string;
  readonly device: string;
  readonly commit: string;
  readonly command: string;
}

export interface TimedProblem {
  readonly problem: string;
  readonly times: Readonly<Partial<Record<FloatType, Times>>>;
  readonly measured: number;
}

interface Accuracy {
  readonly plugin: string;
  readonly runs: number;
  readonly failed: number;
  readonly worst: Readonly<Partial<Record<FloatType, number>>>;
  readonly measured: number;
  /** Problems of realistic size. */
  readonly timed?: readonly TimedProblem[];
}

export interface DeviceRecord {
  readonly notes: readonly string[];
  /** Which one says `measured` of what was measured. */
  readonly measurements: readonly Measurement[];
  readonly plugins: readonly Accuracy[];
}

/** The record with the results in place of older ones. */
export function recorded(record: DeviceRecord, results: readonly Result[], measurement: Measurement): DeviceRecord {
  const measured = record.measurements.length;
  const names = [...new Set(results.map((r) => r.plugin))];
  const entries = new Map(record.plugins.map((p) => [p.plugin, p]));
  for (const name of names) {
    const own = results.filter((r) => r.plugin === name);
    entries.set(name, merged(entries.get(name), name, own, measured));
  }
  return unused({ ...record, measurements: [...record.measurements, measurement], plugins: [...entries.values()] });
}

function merged(old: Accuracy | undefined, plugin: string, results: readonly Result[], measured: number): Accuracy {
  const timedNames = [...new Set(results.filter((r) => r.runMicroseconds ?? r.microseconds).map((r) => r.problem))];
  const timed = timedNames.map((problem) => timesOf(problem, results, measured));
  const kept = (old?.timed ?? []).filter((t) => !timedNames.includes(t.problem));
  const own = results.filter((r) => r.part === 'plugin');
  // A few problems say nothing of the others, which an older run was about.
  if (old && own.length < old.runs) return { ...old, timed: [...kept, ...timed] };
  const worst: Partial<Record<FloatType, number>> = {};
  for (const { float, error } of own) if (error !== null) worst[float] = Math.max(worst[float] ?? 0, error);
  const failed = own.filter((r) => r.error === null).length;
  return { plugin, runs: own.length, failed, worst, measured, timed: [...kept, ...timed] };
}

function timesOf(problem: string, results: readonly Result[], measured: number): TimedProblem {
  const times: Partial<Record<FloatType, Times>> = {};
  for (const { float, part, microseconds, runMicroseconds } of results.filter((r) => r.problem === problem))
    times[float] = {
      ...times[float],
      ...(microseconds !== undefined && { [part]: tenths(microseconds) }),
      ...(runMicroseconds !== undefined && { [`${part}Run`]: tenths(runMicroseconds) }),
    };
  return { problem, times, measured };
}

const tenths = (v: number): number => Math.round(v * 10) / 10;

/** Without measurements of which nothing is left. */
function unused(record: DeviceRecord): DeviceRecord {
  const all = record.plugins.flatMap((p) => [p.measured, ...(p.timed ?? []).map((t) => t.measured)]);
  const used = [...new Set(all)].sort((a, b) => a - b);
  const at = (i: number): number => used.indexOf(i);
  return {
    ...record,
    measurements: used.map((i) => record.measurements[i]!),
    plugins: record.plugins.map((p) => ({
      ...p,
      measured: at(p.measured),
      ...(p.timed && { timed: p.timed.map((t) => ({ ...t, measured: at(t.measured) })) }),
    })),
  };
}
