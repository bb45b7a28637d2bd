/** A native context as a driver of whole plans, and as the native part of mixed ones. */

import { type PlanOperand, type PlanProgram, Tensor, TensorwrightError } from '@tensorwright/core';
import type { CancelToken, Context, DeviceWork, Native, NativeTensor, StepTiming } from '@tensorwright/native';
import { DeviceBuffer } from '../device-buffer.js';
import type { ContextMemory, ContextState, DeviceTimes, Driver, RunRequest, RunValue } from './driver.js';
import type { NativeSegments } from './step-driver.js';
import { extentsOfStrings } from './string-extents.js';

class NativeContext implements ContextState {
  protected readonly context: Context;
  readonly #profile: ProfileSinceStart;

  constructor(context: Context) {
    this.context = context;
    this.#profile = new ProfileSinceStart(context);
  }

  setProfiling(on: boolean): void {
    this.#profile.set(on);
  }

  profile(): readonly StepTiming[] {
    return this.#profile.read();
  }

  memory(): ContextMemory {
    return memoryOf(this.context);
  }

  deviceWork(): DeviceWork | undefined {
    return this.context.deviceWork();
  }

  deviceTimes(plays: number): Promise<DeviceTimes | undefined> {
    return deviceTimesOf(this.context, plays);
  }

  close(): void {
    this.context.close();
  }
}

export class NativeDriver extends NativeContext implements Driver {
  readonly #native: Native;

  constructor(native: Native, context: Context) {
    super(context);
    this.#native = native;
  }

  async run(request: RunRequest): Promise<RunValue[]> {
    const { signal, maxIterations } = request;
    const outputs = givenMemory(request);
    const inputs = request.inputs.map(nativeInput);
    const results = await cancellable(this.#native, signal, (cancel) =>
      this.context.run(inputs, {
        ...(outputs && { outputs }),
        ...(cancel && { cancel }),
        ...(maxIterations !== undefined && { maxIterations }),
      }),
    );
    return delivered(results, request);
  }

  runSync(request: RunRequest): RunValue[] {
    const { maxIterations } = request;
    const outputs = givenMemory(request);
    const results = this.context.runSync(request.inputs.map(nativeInput), {
      ...(outputs && { outputs }),
      ...(maxIterations !== undefined && { maxIterations }),
    });
    return delivered(results, request);
  }
}

export class SegmentRunner extends NativeContext implements NativeSegments {
  readonly #native: Native;
  /** For each output, whether it is one of strings, which stay here. */
  readonly #isString: readonly boolean[];
  #request: RunRequest | undefined;

  constructor(native: Native, context: Context, { outputs, values }: PlanProgram) {
    super(context);
    this.#native = native;
    this.#isString = outputs.map((v) => values[v]!.dtype === 'string');
  }

  begin(request: RunRequest): void {
    this.context.begin(request.inputs.map(nativeInput));
    this.#request = request;
  }

  async run(segment: number): Promise<void> {
    const { signal, maxIterations } = this.#request!;
    await cancellable(this.#native, signal, (cancel) =>
      this.context.runSegment(segment, {
        ...(cancel && { cancel }),
        ...(maxIterations !== undefined && { maxIterations }),
      }),
    );
  }

  /** Native segments only come as promises: a synchronous run of a mixed plan has no way to wait. */
  runSync(): void {
    throw new TensorwrightError(
      'ERR_UNSUPPORTED',
      'runSync: a plan with segments on several backends, or that hands strings on, runs asynchronously only: use run()',
    );
  }

  read(operand: PlanOperand): Tensor {
    return fromNative(this.context.read(operand));
  }

  write(operand: PlanOperand, tensor: Tensor): void {
    this.context.write(operand, tensor as NativeTensor);
  }

  finish(): (Tensor | undefined)[] {
    return this.context.finish().map((t, i) => (t && !this.#isString[i] ? fromNative(t) : undefined));
  }

  cancel(): void {
    this.context.abandon();
  }
}

/** The native sums go on for ever; ours begin at zero whenever profiling is switched on. */
class ProfileSinceStart {
  readonly #context: Context;
  #base: readonly StepTiming[] = [];

  constructor(context: Context) {
    this.#context = context;
  }

  set(on: boolean): void {
    this.#context.setProfiling(on);
    if (on) this.#base = this.#context.profile().steps;
  }

  read(): readonly StepTiming[] {
    return this.#context.profile().steps.map(({ calls, nanoseconds, waits, copiedBytes }, i) => ({
      calls: calls - (this.#base[i]?.calls ?? 0),
      nanoseconds: nanoseconds - (this.#base[i]?.nanoseconds ?? 0),
      waits: waits - (this.#base[i]?.waits ?? 0),
      copiedBytes: copiedBytes - (this.#base[i]?.copiedBytes ?? 0),
    }));
  }
}

/** Rejects with the signal's reason, after the native work has ended. */
async function cancellable<T>(
  native: Native,
  signal: AbortSignal | undefined,
  work: (cancel: CancelToken | undefined) => Promise<T>,
): Promise<T> {
  if (!signal) return work(undefined);
  const token = native.createCancelToken();
  const onAbort = (): void => {
    token.cancel();
  };
  signal.addEventListener('abort', onAbort);
  try {
    signal.throwIfAborted();
    const result = await work(token);
    signal.throwIfAborted();
    return result;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Values that are no native memory stay here, but for the extents of strings. */
function nativeInput(value: RunValue): NativeTensor | null {
  if (value instanceof DeviceBuffer) return value.nativeTensor;
  if (!(value instanceof Tensor)) return null;
  return value.dtype === 'string' ? extentsOfStrings(value) : (value as NativeTensor);
}

function givenMemory({ outputs }: RunRequest): NativeTensor[] | undefined {
  const memory = outputs.map((o) => (o instanceof DeviceBuffer ? o.nativeTensor : (o ?? null)));
  return memory.some((o) => o) ? (memory as NativeTensor[]) : undefined;
}

function delivered(results: readonly NativeTensor[], { outputs }: RunRequest): RunValue[] {
  return results.map((t, i) => {
    const given = outputs[i];
    return given instanceof DeviceBuffer ? given : fromNative(t);
  });
}

function fromNative({ dtype, dims, data }: NativeTensor): Tensor {
  return new Tensor(dtype, data as Tensor['data'], dims);
}

function memoryOf(context: Context): ContextMemory {
  const { arenaBytes, heapBytes, workspaceBytes, deviceBytes, stagingBytes, graphs } = context.memory();
  return {
    arena: arenaBytes,
    heap: heapBytes,
    workspace: workspaceBytes,
    device: deviceBytes,
    staging: stagingBytes,
    graphs,
  };
}

async function deviceTimesOf(context: Context, plays: number): Promise<DeviceTimes | undefined> {
  const { device, enqueue, complete } = await context.deviceTimes(1, plays);
  const microseconds = (list: readonly number[]): number[] => list.map((t) => t / 1000);
  return device.length === 0 ? undefined : { device: microseconds(device), enqueue: microseconds(enqueue), complete };
}
