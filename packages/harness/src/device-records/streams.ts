/** What is kept of contexts side by side and of memory over many runs: bench/results/h200-streams-soak.json. */

import type { SoakReport } from '../soak/report.js';
import { basename } from 'node:path';
import { type Dated, kept, measuredAlone, type Measurement, round } from './measurement.js';

interface Soaked extends Dated {
  readonly notes: readonly string[];
  readonly memory: SoakReport['memory'];
}

export interface StreamsRecord extends Measurement {
  readonly subject: string;
  /** By streams. */
  readonly runsPerSecond: Readonly<Record<string, number>>;
  /** With one stream, mean. */
  readonly deviceMilliseconds: number;
  readonly enqueueMicroseconds: { readonly mean: number; readonly '99 %': number };
  readonly soak: Soaked;
}

/**
 * The record with what was measured in place of older figures.
 * @param logs of `bench`, by streams; none: they were not run
 * @param soak undefined: it was not run
 */
export function recordedStreams(
  record: StreamsRecord,
  logs: Readonly<Record<string, string>>,
  soak: SoakReport | undefined,
  measurement: Measurement,
): StreamsRecord {
  const memory = soak && soakedOf(soak);
  if (Object.keys(logs).length === 0)
    return memory ? { ...record, soak: measuredAlone(memory, record, measurement) } : record;
  const [first] = Object.values(logs);
  return {
    ...record,
    ...measurement,
    runsPerSecond: Object.fromEntries(
      Object.entries(logs).map(([streams, log]) => [streams, numberIn(log, /^throughput +([\d.]+) runs\/s$/m)]),
    ),
    deviceMilliseconds: numberIn(first!, /^device .*?mean ([\d.]+) ms/m),
    enqueueMicroseconds: {
      mean: round(1000 * numberIn(first!, /^enqueue .*?mean ([\d.]+) ms/m), 3),
      '99 %': round(1000 * numberIn(first!, /^enqueue .*?99 % ([\d.]+) ms/m), 3),
    },
    soak: memory ?? kept(record.soak, record, measurement),
  };
}

function soakedOf({ model, counts, memory }: SoakReport): Soaked {
  const told = Object.entries(counts ?? {}).map(([what, n]) => `${n.toLocaleString('en')} ${what}`);
  return { notes: [[basename(model, '.onnx'), ...told].join(', ')], memory };
}

/** @throws Error where the log does not have it */
function numberIn(log: string, pattern: RegExp): number {
  const found = pattern.exec(log)?.[1];
  if (found === undefined) throw new Error(`a log of the stage streams has no line like ${String(pattern)}`);
  return Number(found);
}

/** The document that the stage soak begins its log with. */
export function soakReportIn(log: string): SoakReport | undefined {
  const document = /^\{\n.*?^\}$/ms.exec(log)?.[0];
  return document === undefined ? undefined : (JSON.parse(document) as SoakReport);
}
