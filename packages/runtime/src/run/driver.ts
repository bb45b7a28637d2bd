/** What runs a plan for one execution context: one native call, or step by step. */

import type { RuntimeValue, Tensor } from '@tensorwright/core';
import type { DeviceWork, StepTiming } from '@tensorwright/native';
import type { DeviceBuffer } from '../device-buffer.js';

/** What goes into a run, and comes out where memory for it was given. */
export type RunValue = RuntimeValue | DeviceBuffer;

export interface RunRequest {
  /** Checked, in the order of the plan's inputs. */
  readonly inputs: readonly RunValue[];
  /** What the inputs' shapes say; grows while the run finds out more. */
  readonly symbols: Map<number, number>;
  /** Tensors to write outputs into, in the order of the plan's outputs; undefined entries are allocated. */
  readonly outputs: readonly (Tensor | DeviceBuffer | undefined)[];
  readonly signal: AbortSignal | undefined;
  readonly maxIterations: number | undefined;
}

/** Memory a context holds, in bytes. */
export interface ContextMemory {
  /** Activations at planned places. */
  readonly arena: number;
  /** Activations whose size the run finds out. */
  readonly heap: number;
  /** Scratch memory of kernels. */
  readonly workspace: number;
  /** What of these is a device's. */
  readonly device: number;
  /** Page-locked memory of the host, besides these, that copies to and from a device pass through. */
  readonly staging: number;
  /** How many graphs of a device are kept, besides. The driver does not tell their bytes. */
  readonly graphs: number;
}

/** What the device's part of a run takes, played as recorded work; one figure a play. */
export interface DeviceTimes {
  /** Microseconds of the device, without transfers. */
  readonly device: readonly number[];
  /** Microseconds of the host to start it. */
  readonly enqueue: readonly number[];
  /** Nothing but transfers runs outside of it. */
  readonly complete: boolean;
}

/** What a context tells of itself, whoever runs its steps. */
export interface ContextState {
  setProfiling(on: boolean): void;
  /** One per step of the plan, in order. */
  profile(): readonly StepTiming[];
  memory(): ContextMemory;
  /** undefined where nothing runs on a device. */
  deviceWork(): DeviceWork | undefined;
  /** undefined where nothing runs on a device. */
  deviceTimes(plays: number): Promise<DeviceTimes | undefined>;
  /** Releases the memory. Never called during a run. */
  close(): void;
}

export interface Driver extends ContextState {
  /** Outputs in the plan's order. */
  run(request: RunRequest): Promise<RunValue[]>;
  runSync(request: RunRequest): RunValue[];
}
