/** What is kept of latencies on a device: bench/results/h200-fp16-latency.json. */

import type { ModelReport } from '../zoo/run-model.js';
import { type Dated, kept, type Measurement, round } from './measurement.js';

export interface PytorchTimes {
  readonly eager: number;
  readonly graph: number;
  readonly compile: number | null;
}

/** A line of what bench/pytorch.py prints. */
export interface PytorchLine extends PytorchTimes {
  readonly name: string;
  readonly batch: number;
  readonly sequence: number;
}

/** A report of the suite's stage `latency`, or of the same with our own kernels alone. */
export interface LatencyReport {
  readonly report: ModelReport;
  readonly batch: number;
  readonly sequence: number;
  readonly own: boolean;
}

export interface LatencyRow extends Dated {
  readonly name: string;
  readonly batch: number;
  /** Null of networks that have none. */
  readonly sequence: number | null;
  readonly deviceMs: number;
  readonly wallMs: number;
  readonly enqueueUs: number;
  readonly buildSeconds: number;
  readonly loadMs: number;
  readonly planMegabytes: number;
  readonly fallbacks: ModelReport['fallbacks'];
  /** By tactic: steps, and the sum of their microseconds when they were chosen. */
  readonly tactics: Readonly<Record<string, { readonly steps: number; readonly us: number }>>;
  readonly pytorchMs?: PytorchTimes;
  /** To PyTorch's best mode. */
  readonly ratio?: number;
  /** Where it is not the row's. */
  readonly pytorchCommit?: string;
  readonly ownKernelsMs?: number;
  readonly ownKernelsCommit?: string;
}

export interface LatencyRecord extends Measurement {
  readonly rows: readonly LatencyRow[];
}

type Place = Pick<LatencyReport, 'batch' | 'sequence'>;
type RowPlace = Pick<LatencyRow, 'name' | 'batch' | 'sequence'>;

function isRow(row: RowPlace, of: Place, name: string): boolean {
  return name === row.name && of.batch === row.batch && of.sequence === (row.sequence ?? 128);
}

/** What has no row and no place in one: failed, or without what it stands beside. */
export function unrecorded(
  record: LatencyRecord,
  reports: readonly LatencyReport[],
  pytorch: readonly PytorchLine[],
): string[] {
  const rows = [...record.rows, ...newRows(record.rows, reports)];
  const known = (of: Place, name: string): boolean => rows.some((row) => isRow(row, of, name));
  const told = ({ batch, sequence }: Place, name: string): string => `${name}, batch ${batch}, sequence ${sequence}`;
  return [
    ...reports.flatMap((r) => {
      const what = `${told(r, r.report.name)}${r.own ? ' by our own kernels alone' : ''}`;
      if (r.report.deviceMs === null)
        return [`${what}: ${r.report.error?.split('\n')[0] ?? 'not on a device as a whole'}`];
      return known(r, r.report.name) ? [] : [`${what}: there is no row that it belongs to`];
    }),
    ...pytorch.flatMap((p) =>
      known(p, p.name) ? [] : [`${told(p, p.name)} by PyTorch: there is no row that it belongs to`],
    ),
  ];
}

/** Of reports without one. A sequence of 128 may be the default, of networks that have none: other rows tell. */
function newRows(rows: readonly LatencyRow[], reports: readonly LatencyReport[]): RowPlace[] {
  const added: RowPlace[] = [];
  for (const { report, batch, sequence, own } of reports) {
    if (own || report.deviceMs === null) continue;
    const place = { batch, sequence };
    if ([...rows, ...added].some((row) => isRow(row, place, report.name))) continue;
    const isKnown = rows.some((row) => row.name === report.name && row.sequence !== null);
    added.push({ name: report.name, batch, sequence: isKnown || sequence !== 128 ? sequence : null });
  }
  return added;
}

/** The record with what was measured in place of older figures of the same rows, and after them. */
export function recordedLatency(
  record: LatencyRecord,
  reports: readonly LatencyReport[],
  pytorch: readonly PytorchLine[],
  measurement: Measurement,
): LatencyRecord {
  const places: readonly (LatencyRow | RowPlace)[] = [...record.rows, ...newRows(record.rows, reports)];
  const rows = places.map((place) => {
    const found = (own: boolean): ModelReport | undefined =>
      reports.find((r) => r.own === own && isRow(place, r, r.report.name) && r.report.deviceMs !== null)?.report;
    const row: Partial<LatencyRow> = place;
    const commit = row.commit ?? record.commit;
    const ours = found(false);
    const alone = found(true);
    const theirs = pytorch.find((p) => isRow(place, p, p.name));
    // Without a report, the place is an older row.
    const measured = ours ? measuredRow(place, ours) : kept(place as LatencyRow, record, measurement);
    const now = measured.commit ?? measurement.commit;
    const besides = {
      ...measured,
      ...(theirs
        ? { pytorchMs: timesOf(theirs), pytorchCommit: measurement.commit }
        : row.pytorchMs && { pytorchMs: row.pytorchMs, pytorchCommit: row.pytorchCommit ?? commit }),
      ...(alone
        ? { ownKernelsMs: round(alone.deviceMs!, 4), ownKernelsCommit: measurement.commit }
        : row.ownKernelsMs !== undefined && {
            ownKernelsMs: row.ownKernelsMs,
            ownKernelsCommit: row.ownKernelsCommit ?? commit,
          }),
    };
    return withRatio(withoutSameCommits(besides, now));
  });
  return { ...record, ...measurement, rows };
}

function timesOf({ eager, graph, compile }: PytorchLine): PytorchTimes {
  return { eager: round(eager, 4), graph: round(graph, 4), compile: compile === null ? null : round(compile, 4) };
}

function withoutSameCommits(row: LatencyRow, commit: string): LatencyRow {
  const { pytorchCommit, ownKernelsCommit, ...rest } = row;
  return {
    ...rest,
    ...(pytorchCommit !== undefined && pytorchCommit !== commit && { pytorchCommit }),
    ...(ownKernelsCommit !== undefined && ownKernelsCommit !== commit && { ownKernelsCommit }),
  };
}

function withRatio(row: LatencyRow): LatencyRow {
  const times = row.pytorchMs && Object.values(row.pytorchMs).filter((t): t is number => t !== null);
  return times ? { ...row, ratio: round(row.deviceMs / Math.min(...times), 3) } : row;
}

function measuredRow({ name, batch, sequence }: RowPlace, r: ModelReport): LatencyRow {
  const tactics: Record<string, { steps: number; us: number }> = {};
  for (const { tactic, timedUs } of r.layers ?? []) {
    const { steps, us } = tactics[tactic] ?? { steps: 0, us: 0 };
    tactics[tactic] = { steps: steps + 1, us: round(us + (timedUs ?? 0), 1) };
  }
  return {
    name,
    batch,
    sequence,
    deviceMs: round(r.deviceMs!, 4),
    wallMs: round(r.ms!, 3),
    enqueueUs: round(r.enqueueUs!, 1),
    buildSeconds: round(r.buildMs! / 1000, 1),
    loadMs: round(r.loadMs!, 0),
    planMegabytes: round(r.planBytes! / 1e6, 1),
    fallbacks: r.fallbacks,
    tactics,
  };
}
