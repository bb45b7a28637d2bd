/** What is kept of how long builds take on a device: bench/results/h200-builds.json. */

import type { ModelReport } from '../zoo/run-model.js';
import { type Dated, kept, type Measurement, round } from './measurement.js';

/** A report of the suite's stage `builds`. */
export interface BuildReport {
  readonly report: ModelReport;
  readonly batch: number;
  /** With what an earlier build has left. */
  readonly cached: boolean;
}

interface BuildRow extends Dated {
  readonly name: string;
  readonly batch: number;
  readonly coldSeconds: number | null;
  readonly cachedSeconds: number | null;
}

export interface BuildsRecord extends Measurement {
  readonly notes: readonly string[];
  readonly rows: readonly BuildRow[];
}

const notes = [
  'fp16, optimization level 3; coldSeconds: without times of earlier builds, in the stage `builds` without their kernels, too; cachedSeconds: with what the cold one has left',
];

/** The record with what was measured in place of older figures, and after them. */
export function recordedBuilds(
  record: BuildsRecord,
  reports: readonly BuildReport[],
  measurement: Measurement,
): BuildsRecord {
  const seconds = (of: { name: string; batch: number }, cached: boolean): number | null => {
    const found = reports.find((r) => r.report.name === of.name && r.batch === of.batch && r.cached === cached);
    const milliseconds = found?.report.buildMs ?? null;
    return milliseconds === null ? null : round(milliseconds / 1000, 1);
  };
  const isMeasured = (of: { name: string; batch: number }): boolean =>
    reports.some((r) => r.report.name === of.name && r.batch === of.batch);
  const older = record.rows.filter((row) => !isMeasured(row));
  const measured = reports.filter(
    (r, i) => reports.findIndex((other) => other.report.name === r.report.name && other.batch === r.batch) === i,
  );
  return {
    ...measurement,
    notes,
    rows: [
      ...older.map((row) => kept(row, record, measurement)),
      ...measured.map(({ report: { name }, batch }) => {
        const before = record.rows.find((row) => row.name === name && row.batch === batch);
        return {
          name,
          batch,
          coldSeconds: seconds({ name, batch }, false) ?? before?.coldSeconds ?? null,
          cachedSeconds: seconds({ name, batch }, true) ?? before?.cachedSeconds ?? null,
        };
      }),
    ],
  };
}
