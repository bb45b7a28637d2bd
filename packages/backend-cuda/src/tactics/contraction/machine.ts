/** The device at hand, as the models of the kernels see it. */

import { native } from '../../native.js';
import type { Machine } from './tiles.js';

/** Of an H200, where no device answers: plans are then made for one. */
const usual: Machine = { multiprocessors: 132, sharedBytes: 228 * 1024, clusters: true };

export function machineOf(): Machine {
  const status = native().cuda.status();
  const device = status.available ? status.devices[0] : undefined;
  return device
    ? { multiprocessors: device.multiprocessors, sharedBytes: device.sharedBytes, clusters: device.capability >= 90 }
    : usual;
}
