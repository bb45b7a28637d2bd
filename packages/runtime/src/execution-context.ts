/** One stream of runs: its own memory, runs in order. Contexts of an engine run in parallel. */

import { type PlanHeader, type Tensor, TensorwrightError } from '@tensorwright/core';
import type { DeviceWork } from '@tensorwright/native';
import type { DeviceBuffer } from './device-buffer.js';
import { checkOptions, is } from './options.js';
import type { WeightsReader } from './plan/weights-reader.js';
import type { InputBinder } from './run/bind-inputs.js';
import { checkOutputs } from './run/check-outputs.js';
import { deliver } from './run/deliver.js';
import type { ContextMemory, DeviceTimes, Driver, RunRequest, RunValue } from './run/driver.js';
import { RunQueue } from './run/run-queue.js';
import type { TensorInfo, TensorMap } from './tensor-info.js';

/** How a context runs its engine. */
export interface ContextOptions {
  /** Index of the optimization profile that inputs must fit. Default: any of the plan's. */
  readonly profile?: number;
  /** Fill memory that nobody may read any more with NaNs: finds defects of plans and kernels. Default: false. */
  readonly poison?: boolean;
  /**
   * Record a device's steps as a graph when they have run once with the shapes at hand, and start that from then on; those
   * that depend on extents which the values decide, when the same extents have come before. Default: true.
   */
  readonly graphs?: boolean;
  /**
   * Watch the code of plugins: each of their steps runs in memory of its own, between guards that are looked at
   * afterwards, and functions in TypeScript get copies of their inputs. A run throws ERR_PLUGIN naming the plugin and the
   * output where one writes beyond it or changes an input. Slow. Default: false.
   */
  readonly debug?: boolean;
}

/** What a run on the calling thread can be told. */
export interface SyncRunOptions {
  /**
   * Tensors of the output's dtype and dims, or memory of a device, to write outputs into, by name; the others are
   * allocated. One may be the memory of an input, too. Default: all are allocated.
   */
  readonly outputs?: Readonly<Record<string, Tensor | DeviceBuffer>>;
  /** Iterations that loops may take before ERR_LIMIT_EXCEEDED. Default: 2^31. */
  readonly maxIterations?: number;
}

/** What a run can be told. */
export interface RunOptions extends SyncRunOptions {
  /** Ends the run early: its promise rejects with the signal's reason, and the context takes further runs. Default: none. */
  readonly signal?: AbortSignal;
}

/** What a layer took since profiling was switched on. */
export interface LayerProfile {
  /** As in `Engine.inspect().layers`, like those that follow. */
  readonly name: string;
  readonly kind: string;
  readonly backend: string;
  readonly tactic: string;
  /** Nodes of the user's model. */
  readonly origins: readonly string[];
  /** How often it ran. */
  readonly calls: number;
  /** Of all calls together. */
  readonly microseconds: number;
  /**
   * How often the host waited for a device in all calls together: for extents that the values decide, for conditions
   * and trip counts, and before work of the processor. Measuring and the end of a run wait besides.
   */
  readonly waits: number;
  /** Carried to a device, from it and within it, in all calls together: 0 where a DeviceBuffer is used where it lies. */
  readonly copiedBytes: number;
}

/** What a context takes from its engine. */
export interface ContextParts {
  readonly header: PlanHeader;
  readonly outputs: readonly TensorInfo[];
  readonly binder: InputBinder;
  readonly weights: WeightsReader;
  readonly driver: Driver;
  onClose(context: ExecutionContext): void;
}

const runOptionChecks = {
  outputs: (v: unknown): string | undefined =>
    typeof v === 'object' && v !== null && !Array.isArray(v) && !(v instanceof Map)
      ? undefined
      : 'an object of named tensors',
  maxIterations: is.integer(0, Number.MAX_SAFE_INTEGER),
};

/** Runs an engine. `Engine.createContext` makes it. */
export class ExecutionContext {
  /** The profile chosen when the context was created. */
  readonly profileIndex: number | undefined;
  readonly #parts: ContextParts;
  readonly #queue = new RunQueue();
  #profiling = false;
  #closing: Promise<void> | undefined;

  /** @internal `Engine.createContext` makes contexts. */
  constructor(parts: ContextParts, options: ContextOptions) {
    this.#parts = parts;
    this.profileIndex = options.profile;
  }

  /**
   * Runs the engine on named inputs. Overlapping calls run in order. Inputs and given outputs are used in place:
   * leave them alone until the promise settles.
   * @throws ERR_INVALID_ARGUMENT, ERR_DTYPE_MISMATCH, ERR_SHAPE_MISMATCH naming the tensor; ERR_DISPOSED after close
   */
  async run<T extends RunValue = Tensor>(
    inputs: Readonly<Record<string, RunValue>>,
    options: RunOptions = {},
  ): Promise<TensorMap<T>> {
    this.#checkOpen();
    checkOptions<RunOptions>('run', options, { ...runOptionChecks, signal: is.signal });
    const { signal } = options;
    signal?.throwIfAborted();
    const request = this.#request(inputs, options, signal);
    const results = await this.#queue.enqueue(() => this.#parts.driver.run(request), signal);
    return this.#named<T>(results, request);
  }

  /** As `run`, on the calling thread: the event loop stands still. Refused while runs are in progress. */
  runSync<T extends RunValue = Tensor>(
    inputs: Readonly<Record<string, RunValue>>,
    options: SyncRunOptions = {},
  ): TensorMap<T> {
    this.#checkOpen();
    checkOptions<SyncRunOptions>('runSync', options, runOptionChecks);
    this.#checkIdle('runSync');
    const request = this.#request(inputs, options, undefined);
    return this.#named<T>(this.#parts.driver.runSync(request), request);
  }

  /** Whether layers are measured; false at first. */
  get profiling(): boolean {
    return this.#profiling;
  }

  /** Measures every layer from now on, starting at zero, or no more. Measuring costs a little time per layer. */
  setProfiling(on: boolean): void {
    this.#checkOpen();
    this.#checkIdle('setProfiling');
    this.#profiling = on;
    this.#parts.driver.setProfiling(on);
  }

  /** Times per layer, in the order of execution. */
  profile(): LayerProfile[] {
    this.#checkOpen();
    this.#checkIdle('profile');
    const { steps, segments } = this.#parts.header.program;
    const times = this.#parts.driver.profile();
    return segments.flatMap(({ backend, begin, end }) =>
      steps.slice(begin, end).map(({ layer }, k) => ({
        name: layer.name,
        kind: layer.kind,
        backend,
        tactic: layer.tactic,
        origins: layer.origins,
        calls: times[begin + k]?.calls ?? 0,
        microseconds: (times[begin + k]?.nanoseconds ?? 0) / 1000,
        waits: times[begin + k]?.waits ?? 0,
        copiedBytes: times[begin + k]?.copiedBytes ?? 0,
      })),
    );
  }

  /** Native memory that this context holds now, in bytes. */
  memory(): ContextMemory {
    this.#checkOpen();
    this.#checkIdle('memory');
    return this.#parts.driver.memory();
  }

  /** What the runs of this context had a device do; undefined where nothing runs on a device. */
  deviceWork(): DeviceWork | undefined {
    this.#checkOpen();
    this.#checkIdle('deviceWork');
    return this.#parts.driver.deviceWork();
  }

  /**
   * Plays the recorded work of the last run's shapes again, without transfers: what a device takes by itself.
   * undefined where nothing runs on a device.
   * @param plays how often, at least once; default 100
   * @throws ERR_INVALID_ARGUMENT for other numbers; ERR_DISPOSED after close
   */
  async deviceTimes(plays = 100): Promise<DeviceTimes | undefined> {
    this.#checkOpen();
    const expected = is.integer(1, 1_000_000)(plays);
    if (expected !== undefined)
      throw new TensorwrightError('ERR_INVALID_ARGUMENT', `deviceTimes: plays must be ${expected}`, {
        expected,
        received: plays,
      });
    return this.#queue.enqueue(() => this.#parts.driver.deviceTimes(plays), undefined);
  }

  /** True once close() has been called. */
  get closed(): boolean {
    return this.#queue.closed;
  }

  /** True while a run is in progress. */
  get busy(): boolean {
    return this.#queue.busy;
  }

  /** Releases the memory after the run in progress; runs that wait are refused. Closing twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const idle = this.#queue.close();
    this.#parts.onClose(this);
    await idle;
    this.#parts.driver.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(): void {
    if (this.#queue.closed) throw new TensorwrightError('ERR_DISPOSED', 'the execution context is closed');
  }

  #checkIdle(method: string): void {
    if (this.#queue.busy)
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        `${method}: a run of this context is in progress; wait for it, or use another context`,
      );
  }

  #request(
    inputs: Readonly<Record<string, RunValue>>,
    options: SyncRunOptions,
    signal: AbortSignal | undefined,
  ): RunRequest {
    const { values, symbols } = this.#parts.binder.bind(inputs, this.profileIndex);
    return {
      inputs: values,
      symbols,
      outputs: checkOutputs(options.outputs, symbols, this.#parts.outputs, this.#parts.header),
      signal,
      maxIterations: options.maxIterations,
    };
  }

  #named<T extends RunValue>(results: readonly RunValue[], request: RunRequest): TensorMap<T> {
    const names = this.#parts.outputs.map((info) => info.name);
    const values = deliver(results, request, this.#parts.weights, names);
    return Object.fromEntries(names.map((name, i) => [name, values[i] as T]));
  }
}
