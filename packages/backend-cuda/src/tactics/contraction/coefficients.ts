/**
 * What the model of the product kernels (model.ts) knows of devices. Printed by packages/harness/src/contractions/fit.ts
 * from times measured on them. Clocks are 1/1700 µs.
 */

import type { Family } from './model.js';

export interface FamilyCoefficients {
  /** Of a launch, to the first load's arrival and from the last store to the end. */
  readonly startMicroseconds: number;
  /** Of the tensor cores' peak, while nothing else is in the way. */
  readonly efficiency: number;
  /** Bytes a clock that one multiprocessor takes in. */
  readonly loadBytes: number;
  /** From one step along the depth to the next, however little there is to compute. */
  readonly stepClocks: number;
  /** In which a warp stores 256 sums. */
  readonly storeClocks: number;
}

export interface Coefficients extends Readonly<Record<Family, FamilyCoefficients>> {
  /** From a load's start to its arrival. */
  readonly loadClocks: number;
  /** Bytes a clock that the L2 cache hands out, for each multiprocessor of the device. */
  readonly cacheBytes: number;
  /** Bytes a microsecond from memory. */
  readonly memoryBytes: number;
  /** Of a cluster whose sums meet, and bytes a clock that a block reads of the others' sums. */
  readonly clusterClocks: number;
  readonly clusterBytes: number;
  /** Of one more launch. */
  readonly launchMicroseconds: number;
}

/** Compute capability 9.0: an H200. */
const hopper: Coefficients = {
  wgmma: { startMicroseconds: 1.48, efficiency: 0.97, loadBytes: 556, stepClocks: 23.7, storeClocks: 340 },
  mma: { startMicroseconds: 1.65, efficiency: 0.282, loadBytes: 213, stepClocks: 95.4, storeClocks: 140 },
  simt: { startMicroseconds: 2, efficiency: 0.1, loadBytes: 48, stepClocks: 300, storeClocks: 110 },
  loadClocks: 68.2,
  cacheBytes: 32,
  memoryBytes: 2.42e6,
  clusterClocks: 1670,
  clusterBytes: 17.2,
  launchMicroseconds: 0.8,
};

/** Before it, mma.sync reaches what the tensor cores have: half as much a clock as Hopper's. */
const ampere: Coefficients = {
  ...hopper,
  mma: { ...hopper.mma, efficiency: 0.45 },
  memoryBytes: 1.6e6,
};

const byArchitecture: Readonly<Record<string, Coefficients>> = {
  sm_80: ampere,
  sm_86: ampere,
  sm_87: ampere,
  sm_89: ampere,
  sm_90a: hopper,
};

/** Of an architecture that was not measured: those of the nearest that was. */
export function coefficientsOf(architecture: string): Coefficients {
  return byArchitecture[architecture] ?? hopper;
}
