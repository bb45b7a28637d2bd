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

/** Whether there is a device, and it has warpgroup instructions. */
export function isHopper(): boolean {
  const status = native().cuda.status();
  return status.available && status.devices[0]?.architecture === 'sm_90a';
}

/** Blocks of a cluster that every device with clusters has. */
export const mostOfCluster = 8;

/** The least number of multiprocessors that are built close together. A cluster's blocks run within such a group. */
const closeTogether = 16;

/**
 * Multiprocessors that clusters of so many blocks can fill at once: what is left over in a group stays idle. Grids of
 * blocks that loop must not be larger: a cluster that found no place would begin when another has done all of its share.
 */
export function usableFor(cluster: number, multiprocessors: number): number {
  if (cluster <= 2) return multiprocessors;
  const groups = Math.max(1, Math.floor(multiprocessors / closeTogether));
  return groups * Math.floor(Math.min(closeTogether, Math.max(cluster, multiprocessors)) / cluster) * cluster;
}
