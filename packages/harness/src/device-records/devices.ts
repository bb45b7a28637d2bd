/** What is kept of one plan on several devices: bench/results/h200-devices.json. */

import type { DevicesReport } from '../devices/report.js';
import { type Measurement, round } from './measurement.js';

export interface DevicesRecord extends Omit<DevicesReport, 'refused'>, Measurement {
  readonly notes: readonly string[];
  readonly refused?: readonly boolean[];
}

const notes = [
  'resnet50, fp16, batch 1; host tensors in and out, two contexts a device',
  "different: bytes of the results against the first device's; errors: against the processor's float32; refused: memory of another device was; left: bytes after closing",
];

/** @param measurement its device is one of them */
export function recordedDevices(report: DevicesReport, measurement: Measurement): DevicesRecord {
  const { devices, different, errors, refused, left } = report;
  const { alone, together } = report.runsPerSecond;
  return {
    ...measurement,
    device: `${String(devices)} x ${measurement.device}`,
    notes,
    devices,
    different,
    errors: errors.map((e) => Number(e.toPrecision(2))),
    ...(refused && { refused }),
    runsPerSecond: {
      alone: alone.map((r) => round(r, 0)),
      ...(together !== undefined && { together: round(together, 0) }),
    },
    left,
  };
}
