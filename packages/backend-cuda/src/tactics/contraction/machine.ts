/** The device at hand, as the models of the kernels see it. */

import { native } from '../../native.js';
import type { Machine } from './tiles.js';

/** Of an H200, where no device answers: plans are then made for one. */
const usual: Machine = { multiprocessors: 132, sharedBytes: 228 * 1024, clusters: true, architecture: 'sm_90a' };

export function machineOf(): Machine {
  const status = native().cuda.status();
  const device = status.available ? status.devices[0] : undefined;
  if (!device) return usual;
  const { multiprocessors, sharedBytes, capability, architecture } = device;
  return { multiprocessors, sharedBytes, clusters: capability >= 90, architecture };
}
