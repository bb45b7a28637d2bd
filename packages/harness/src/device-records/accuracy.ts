/** What is kept of the zoo's accuracy on a device: bench/results/h200-zoo-accuracy.json. */

import type { ModelReport } from '../zoo/run-model.js';
import { type Dated, kept, type Measurement } from './measurement.js';

export interface AccuracyRow extends Dated {
  readonly name: string;
  /** The worst output's; null where outputs are lists in another order. */
  readonly nrms: number | null;
  readonly fallbacks: ModelReport['fallbacks'];
  readonly detections?: ModelReport['detections'];
  readonly steadiness?: ModelReport['steadiness'];
  readonly heads?: ModelReport['heads'];
}

export type Precision = 'fp32' | 'fp16' | 'bf16';

export interface AccuracyRecord extends Measurement {
  readonly precisions: Readonly<Record<Precision, readonly AccuracyRow[]>>;
}

/** The record with what was measured in place of older figures of the same networks. */
export function recordedAccuracy(
  record: AccuracyRecord,
  reports: Readonly<Partial<Record<Precision, readonly ModelReport[]>>>,
  measurement: Measurement,
): AccuracyRecord {
  const rowsOf = (precision: Precision): readonly AccuracyRow[] => {
    const measured = (reports[precision] ?? []).filter((r) => r.error === null).map((r) => rowOf(r, precision));
    const names = new Set(measured.map((r) => r.name));
    const older = record.precisions[precision]
      .filter((r) => !names.has(r.name))
      .map((r) => kept(r, record, measurement));
    return [...measured, ...older].sort((a, b) => (a.name < b.name ? -1 : 1));
  };
  return {
    ...record,
    ...measurement,
    precisions: { fp32: rowsOf('fp32'), fp16: rowsOf('fp16'), bf16: rowsOf('bf16') },
  };
}

function rowOf(r: ModelReport, precision: Precision): AccuracyRow {
  const lists = r.detections !== null && precision !== 'fp32';
  return {
    name: r.name,
    nrms: lists ? null : r.outputs.reduce((worst, o) => Math.max(worst, o.nrms), 0),
    fallbacks: r.fallbacks,
    ...(r.detections && { detections: r.detections }),
    ...(r.steadiness && { steadiness: r.steadiness }),
    ...(r.heads && { heads: r.heads }),
  };
}
