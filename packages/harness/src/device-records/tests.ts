/** What is kept of the repository's tests on a device: bench/results/h200-tests.json. */

import type { Measurement } from './measurement.js';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What scripts/device-tests/main.mjs writes. */
export interface TestsReport extends Counts {
  readonly files: readonly (Counts & { readonly name: string; readonly failures: string })[];
}

export interface TestsRecord extends Measurement, Counts {
  readonly notes: readonly string[];
  readonly files: readonly (Counts & { readonly name: string; readonly failures?: string })[];
}

const notes = ['skipped: what only the emulator can play, like a device that is lost; failures: what failed says'];

export function recordedTests({ files, ...counts }: TestsReport, measurement: Measurement): TestsRecord {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    ...measurement,
    notes,
    ...counts,
    files: sorted.map(({ name, passed, failed, skipped, failures }) => ({
      name: name.replace(/\.test\.mjs$/, ''),
      passed,
      failed,
      skipped,
      ...(failures !== '' && { failures }),
    })),
  };
}
