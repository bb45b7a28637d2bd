/** Running programs. */

import type { Binding, Handle, OutputMemory } from './binding.js';
import type { PlanOperand } from './plan.js';
import type { CancelToken } from './program.js';
import { Resource } from './resource.js';
import { bytesOf, type NativeTensor, readable, volatile } from './tensor.js';
import { Watch } from './watch.js';

export interface SegmentOptions {
  readonly cancel?: CancelToken;
  /** The most iterations of a loop before it fails with ERR_LIMIT_EXCEEDED. Default: 2^31. */
  readonly maxIterations?: number;
}

export interface RunOptions extends SegmentOptions {
  /**
   * Memory to write outputs to, of exactly their size; null for those to be allocated. Undefined contents when the
   * run fails.
   */
  readonly outputs?: readonly (OutputMemory | null)[];
}

/** What a step took, summed over its calls. */
export interface StepTiming {
  readonly calls: number;
  readonly nanoseconds: number;
  /** Of the host for a device. */
  readonly waits: number;
  /** To a device, from it and within it. */
  readonly copiedBytes: number;
}

/** What a context had a device do, since it was made. */
export interface DeviceWork {
  /** How often the host waited for the device. */
  readonly waits: number;
  /** Kernels and calls of libraries that were launched one by one. */
  readonly launches: number;
  /** Graphs of recorded steps that were launched, each of which stands for many such launches. */
  readonly graphLaunches: number;
  /** To the device, from it and within it; what kernels copy is not in it. */
  readonly copiedBytes: number;
}

export interface DeviceTimes {
  readonly device: readonly number[];
  readonly enqueue: readonly number[];
  readonly complete: boolean;
}

export interface MemoryUse {
  readonly arenaBytes: number;
  readonly heapBytes: number;
  readonly workspaceBytes: number;
  /** What of these lies in a device's memory. */
  readonly deviceBytes: number;
  /** Page-locked memory of the host that copies to and from a device pass through. */
  readonly stagingBytes: number;
  /** How many recordings are kept, of whose memory the driver does not tell. */
  readonly graphs: number;
}

/** Output memory that a native thread may write to, and where its bytes belong in the end. */
function writable(outputs: RunOptions['outputs']): {
  memory: readonly (OutputMemory | null)[] | undefined;
  deliver(results: NativeTensor[]): NativeTensor[];
} {
  if (
    !outputs?.some((o) => o !== null && ArrayBuffer.isView(o.data) && (volatile(o.data) || o.data instanceof DataView))
  ) {
    return { memory: outputs, deliver: (results) => results };
  }
  const memory = outputs.map((o) => o && { dtype: o.dtype, data: new Uint8Array(o.data.byteLength) });
  return {
    memory,
    deliver: (results) =>
      results.map((result, i) => {
        const own = outputs[i];
        if (!own) return result;
        bytesOf(own.data).set(bytesOf(result.data));
        return { ...result, data: own.data };
      }),
  };
}

/**
 * One activation of a program. Inputs are read in place while a run lasts: they must not be changed or transferred
 * until its promise settles (memory shared between threads is copied). Results belong to the caller.
 */
export class Context extends Resource {
  readonly #watch: Watch;
  #pinned: object | undefined;

  /** @internal */
  constructor(binding: Binding, handle: Handle) {
    super(binding, handle, 'context');
    this.#watch = new Watch(binding);
  }

  /** The whole program in one native call, off the event loop. Results that are no tensors are null. */
  async run(inputs: readonly (NativeTensor | null)[], options: RunOptions = {}): Promise<NativeTensor[]> {
    const { memory, deliver } = writable(options.outputs);
    return deliver(
      await this.#watch.over(
        this.binding.run(this.handle, inputs.map(readable), memory, options.cancel?.handle, options.maxIterations),
        this.handle,
      ),
    );
  }

  /** The same on this thread, after the runs that are already under way. For workers. */
  runSync(inputs: readonly (NativeTensor | null)[], options: RunOptions = {}): NativeTensor[] {
    const { memory, deliver } = writable(options.outputs);
    return deliver(
      this.binding.runSync(this.handle, inputs.map(readable), memory, options.cancel?.handle, options.maxIterations),
    );
  }

  /** Begins a run in pieces, whose other segments run in TypeScript; `finish` or `abandon` ends it. */
  begin(inputs: readonly (NativeTensor | null)[]): void {
    this.#pinned = this.binding.begin(this.handle, inputs.map(readable));
  }

  async runSegment(segment: number, options: SegmentOptions = {}): Promise<void> {
    await this.binding.runSegment(this.handle, segment, options.cancel?.handle, options.maxIterations, this.#pinned);
  }

  /** A row-major copy of a value, or of a view of one. */
  read(operand: number | PlanOperand): NativeTensor {
    return this.binding.read(this.handle, operand);
  }

  /** Sets a value, as the step that computes it would: its dims are checked, or define the symbols it binds. */
  write(operand: number | PlanOperand, tensor: NativeTensor): void {
    this.binding.write(this.handle, operand, readable(tensor));
  }

  finish(): (NativeTensor | null)[] {
    const results = this.binding.finish(this.handle);
    this.#pinned = undefined;
    return results;
  }

  /** Ends a run in pieces without results, after an error. */
  abandon(): void {
    this.binding.abandon(this.handle);
    this.#pinned = undefined;
  }

  /** Off at first. Switched on, it costs two clock readings a step. */
  setProfiling(on: boolean): void {
    this.binding.setProfiling(this.handle, on);
  }

  /** Sums since profiling was first switched on, step by step; empty before. */
  profile(): { steps: StepTiming[] } {
    return { steps: this.binding.profile(this.handle) };
  }

  /**
   * Nanoseconds of device time of all steps that can be recorded, once for each play of a recording that holds them
   * `repeats` times, and of the host to start a play. After a run; `complete`: only transfers are left out.
   */
  deviceTimes(repeats: number, plays: number): Promise<DeviceTimes> {
    return this.binding.deviceTimes(this.handle, repeats, plays);
  }

  /** The symbols' values in the last run, null where none was bound; for debugging. */
  symbols(): (number | null)[] {
    return this.binding.symbols(this.handle);
  }

  memory(): MemoryUse {
    return this.binding.memory(this.handle);
  }

  /** undefined where nothing runs on a device. */
  deviceWork(): DeviceWork | undefined {
    return this.binding.deviceWork(this.handle);
  }
}
