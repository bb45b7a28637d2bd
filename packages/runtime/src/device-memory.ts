/** How much of a device's memory is left, and what this process has of it. */

import { loadNative } from '@tensorwright/native';

/** A device's memory at one moment, in bytes. */
export interface DeviceMemoryState {
  /** Left for everybody. */
  readonly freeBytes: number;
  /** What the device has. */
  readonly totalBytes: number;
  /** Allocated by this process: weights, contexts and buffers. Code and streams, which the driver keeps, are not in it. */
  readonly ownBytes: number;
}

/**
 * In bytes; undefined where there is no device.
 * @param device index, default 0
 * @throws ERR_BACKEND_UNAVAILABLE where there are devices, but not this one; ERR_DEVICE once it is lost
 */
export function deviceMemory(device = 0): DeviceMemoryState | undefined {
  const { cuda } = loadNative();
  return cuda.status().available ? cuda.memory(device) : undefined;
}
