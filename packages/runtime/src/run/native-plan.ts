/** The native side of a plan: weights mapped, kernels made, one call per run or per segment. */

import { type PlanHeader, type PlanOperand, type PlanProgram, Tensor, TensorwrightError } from '@tensorwright/core';
import {
  type CancelToken,
  type Context,
  loadNative,
  type Native,
  type NativeTensor,
  type Program,
  type StepTiming,
} from '@tensorwright/native';
import type { PlanSource } from '../plan/plan-source.js';
import type { ReadPlan } from '../plan/read-plan.js';
import { DeviceBuffer } from '../device-buffer.js';
import type { ContextOptions } from '../execution-context.js';
import type { ContextMemory, DeviceTimes, DeviceWork, Driver, RunRequest, RunValue, StepTime } from './driver.js';
import type { NativeSegments } from './step-driver.js';
import { extentsOfStrings, withStringExtents } from './string-extents.js';

/** Backends whose segments the native executor runs. */
export const nativeBackends: ReadonlySet<string> = new Set(['cpu', 'cuda']);

export interface NativePlan {
  /** For a plan that runs natively from end to end. */
  createDriver(options: ContextOptions): Driver;
  /** For one of several backends. */
  createSegments(options: ContextOptions): NativeSegments;
  /** Bytes of the device's memory that hold the weights; 0 where nothing runs on one. */
  readonly deviceBytes: number;
  close(): void;
}

/** @throws ERR_BACKEND_UNAVAILABLE when there is no native library, or the processor lacks something; ERR_INVALID_PLAN */
export async function openNativePlan(
  { header, weights }: ReadPlan,
  source: PlanSource,
  { threads, device }: { readonly threads?: number | undefined; readonly device?: number | undefined },
): Promise<NativePlan> {
  const native = await openNative(header, source.place);
  const mapped =
    weights &&
    native.openWeights(
      source.bytes?.subarray(weights.offset, weights.offset + weights.bytes) ?? {
        path: source.path!,
        offset: weights.offset,
        bytes: weights.bytes,
      },
    );
  let program: Program;
  try {
    program = await native.loadProgram(withStringExtents(nativeProgram(header.program)), mapped ?? null, {
      ...(threads !== undefined && { threads }),
      ...(device !== undefined && { device }),
    });
  } catch (error) {
    throw TensorwrightError.is(error)
      ? new TensorwrightError(
          error.code,
          `${source.place}: ${error.message}`,
          { ...error.details, file: source.place },
          { cause: error },
        )
      : error;
  } finally {
    // The program holds what it needs of them.
    mapped?.close();
  }
  const contextOptions = ({ poison, graphs, debug }: ContextOptions): Parameters<Program['createContext']>[0] => ({
    ...(poison !== undefined && { poison }),
    ...(graphs !== undefined && { recordings: graphs }),
    ...(debug !== undefined && { guards: debug }),
  });
  return {
    createDriver: (options) => new NativeDriver(native, program.createContext(contextOptions(options))),
    createSegments: (options) =>
      new SegmentRunner(native, program.createContext(contextOptions(options)), header.program),
    deviceBytes: program.deviceConstantBytes,
    close: () => {
      program.close();
    },
  };
}

async function openNative({ backends }: PlanHeader, place: string): Promise<Native> {
  const wanted = backends.filter((b) => nativeBackends.has(b.name));
  let native: Native;
  try {
    native = loadNative();
  } catch (cause) {
    const names = wanted.map((b) => `'${b.name}'`).join(' and ');
    throw new TensorwrightError(
      'ERR_BACKEND_UNAVAILABLE',
      `${place}: the plan needs backend ${names}, and the native library cannot be loaded: ${(cause as Error).message}`,
      { file: place, backends: wanted },
      { cause },
    );
  }
  for (const { name, version, needs } of wanted) {
    const details = { file: place, backend: name, version, needs };
    if (name === 'cuda') await requireDevice(native, needs, place, details);
    else requireFeatures(native, needs, place, details);
  }
  return native;
}

function requireFeatures(native: Native, needs: readonly string[], place: string, details: object): void {
  const features = native.features();
  const missing = needs.filter((n) => !features.includes(n));
  if (missing.length === 0) return;
  throw new TensorwrightError(
    'ERR_BACKEND_UNAVAILABLE',
    `${place}: the plan's kernels need ${missing.join(', ')}; this processor has ${features.join(', ')}. Build the plan on this machine`,
    { ...details, missing },
  );
}

async function requireDevice(native: Native, needs: readonly string[], place: string, details: object): Promise<void> {
  const libraries = (['cublasLt', 'cudnn'] as const).filter((l) => needs.some((need) => need.split(' ')[0] === l));
  await native.cuda.open(libraries);
  const status = native.cuda.status();
  const refuse = (why: string): never => {
    throw new TensorwrightError('ERR_BACKEND_UNAVAILABLE', `${place}: the plan needs ${why}`, { ...details, status });
  };
  if (!status.available) return refuse(`backend 'cuda': ${status.reason}`);
  for (const need of needs) {
    const [library, major] = need.split(' ');
    if (library !== 'cublasLt' && library !== 'cudnn') return refuse(`${need}, which this version does not know`);
    const { version, reason } = status[library];
    if (version === undefined) return refuse(`${need}: ${reason}`);
    const found = Number.parseInt(version);
    // Later ones of cuBLASLt have all that earlier ones had; engines of cuDNN are those of one major version.
    const fits = library === 'cublasLt' ? found >= Number(major) : found === Number(major);
    if (!fits) return refuse(`${need}; this machine has ${version}`);
  }
}

/** Without the attributes of steps that run elsewhere: they can be large, and mean nothing here. */
function nativeProgram(program: PlanProgram): PlanProgram {
  if (program.segments.every((s) => nativeBackends.has(s.backend))) return program;
  const steps = program.segments.flatMap(({ backend, begin, end }) => {
    const own = program.steps.slice(begin, end);
    return nativeBackends.has(backend) ? own : own.map((step) => ({ ...step, attributes: {} }));
  });
  return { ...program, steps };
}

/** What a context tells of itself, whoever runs its steps. */
class NativeContext {
  protected readonly context: Context;
  readonly #profile: ProfileSinceStart;

  constructor(context: Context) {
    this.context = context;
    this.#profile = new ProfileSinceStart(context);
  }

  setProfiling(on: boolean): void {
    this.#profile.set(on);
  }

  profile(): readonly StepTime[] {
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

class NativeDriver extends NativeContext implements Driver {
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

class SegmentRunner extends NativeContext implements NativeSegments {
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

  read(): readonly StepTime[] {
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
