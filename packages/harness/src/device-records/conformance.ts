/** What is kept of ONNX's conformance cases on a device: bench/results/h200-conformance.json. */

import type { ConformanceReport } from '../conformance/report.js';
import { type Dated, kept, measuredAlone, type Measurement } from './measurement.js';

/** Cases under a tool of compute-sanitizer. */
interface Watched extends Dated {
  readonly cases: number;
  readonly whollyOnCuda: number;
  readonly passed: number;
  readonly errors: number;
}

export interface ConformanceRecord extends Measurement {
  readonly notes: readonly string[];
  readonly passed: number;
  readonly failed: number;
  readonly unsupported: number;
  readonly whollyOnCuda: number;
  /** By the backends of a case's plan; 'none': no step is left. */
  readonly passedByBackends: Readonly<Record<string, number>>;
  readonly sanitizer: Readonly<Record<string, Watched>>;
  readonly notPassed: readonly {
    readonly set: string;
    readonly case: string;
    readonly status: string;
    readonly message: string;
  }[];
}

/**
 * The record with what was measured in place of older figures.
 * @param report undefined: the cases were not run
 * @param logs of compute-sanitizer, by its tool
 */
export function recordedConformance(
  record: ConformanceRecord,
  report: ConformanceReport | undefined,
  logs: Readonly<Record<string, string>>,
  measurement: Measurement,
): ConformanceRecord {
  const watched = Object.entries(logs).map(([tool, log]) => [tool, watchedBy(tool, log)] as const);
  if (!report) {
    const now = watched.map(([tool, w]) => [tool, measuredAlone(w, record, measurement)] as const);
    return { ...record, sanitizer: { ...record.sanitizer, ...Object.fromEntries(now) } };
  }
  const older = Object.entries(record.sanitizer).map(([tool, w]) => [tool, kept(w, record, measurement)] as const);
  return {
    ...record,
    ...measurement,
    ...countsOf(report),
    sanitizer: { ...Object.fromEntries(older), ...Object.fromEntries(watched) },
    notPassed: report.cases
      .filter((c) => c.status !== 'passed')
      .map(({ set, case: name, status, reason }) => ({ set, case: name, status, message: reason ?? '' })),
  };
}

type Counts = Pick<ConformanceRecord, 'passed' | 'failed' | 'unsupported' | 'whollyOnCuda' | 'passedByBackends'>;

function countsOf({ passed, failed, unsupported, cases }: ConformanceReport): Counts {
  const counts = new Map<string, number>();
  for (const c of cases) {
    if (c.status !== 'passed') continue;
    const key = c.backends.join(',') || 'none';
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const passedByBackends = Object.fromEntries([...counts].sort(([, a], [, b]) => b - a));
  return { passed, failed, unsupported, whollyOnCuda: counts.get('cuda') ?? 0, passedByBackends };
}

/** @throws Error for a log that does not end with the tool's summary */
function watchedBy(tool: string, log: string): Watched {
  const cases = /^(\d+) cases on .*: (\d+) passed, .*; (\d+) wholly on cuda$/m.exec(log);
  const errors = /^=+ (?:ERROR SUMMARY: (\d+) errors?|RACECHECK SUMMARY: .*\((\d+) errors?, .*\))/m.exec(log);
  if (!cases || !errors) throw new Error(`sanitizer-${tool}.log has no summary: the tool did not end`);
  return {
    cases: Number(cases[1]),
    whollyOnCuda: Number(cases[3]),
    passed: Number(cases[2]),
    errors: Number(errors[1] ?? errors[2]),
  };
}
