/** What is kept of plans with plugins on a device: bench/results/h200-plugin-library.json. */

import type { Check } from '../plugin-library/checks.js';
import type { ChainTime } from '../plugin-library/overhead.js';
import { basename, isAbsolute } from 'node:path';
import { type Measurement, round } from './measurement.js';

export interface LibraryReport {
  readonly checks: readonly Check[];
  readonly times: readonly ChainTime[];
}

export interface LibraryRecord extends LibraryReport, Measurement {
  readonly notes: readonly string[];
}

/** Without times, those of before stay out: they are of other code than the checks. */
export function recordedLibrary({ checks, times }: LibraryReport, measurement: Measurement): LibraryRecord {
  const [pairs] = times.map((t) => t.pairs);
  return {
    ...measurement,
    notes:
      pairs === undefined
        ? []
        : [
            `times: chains of ${String(pairs)} pairs of a plugin's step and a built-in one, as one CUDA graph, median; overhead: of a plugin's step over the same kernel built in`,
          ],
    // Where the libraries lay says nothing.
    checks: checks.map((c) => (isAbsolute(c.detail) ? { ...c, detail: basename(c.detail) } : c)),
    times: times.map((t) => ({
      ...t,
      deviceMicroseconds: round(t.deviceMicroseconds, 3),
      enqueueMicroseconds: round(t.enqueueMicroseconds, 3),
      overheadMicroseconds: round(t.overheadMicroseconds, 3),
    })),
  };
}
