/**
 * Runs a plan segment by segment: native segments in one call each, the steps of the others through their backend's
 * executor, with values carried between the two. Without native segments it needs no addon at all.
 */

import {
  type PlanProgram,
  type PlanSegment,
  type PlanStep,
  type RuntimeValue,
  type StepExecutor,
  type StepRunOptions,
  type Tensor,
  TensorwrightError,
} from '@tensorwright/core';
import type { DeviceWork, StepTiming } from '@tensorwright/native';
import { setImmediate } from 'node:timers/promises';
import { DeviceBuffer } from '../device-buffer.js';
import { checkAgreements } from './agreements.js';
import type { ContextMemory, ContextState, DeviceTimes, Driver, RunRequest } from './driver.js';
import type { ProgramFacts } from './program-facts.js';
import { type NativeValues, ValueStore } from './value-store.js';

/** Time between two turns of the event loop. */
const sliceMs = 8;

/** The native context of a mixed plan. */
export interface NativeSegments extends NativeValues, ContextState {
  begin(request: RunRequest): void;
  run(segment: number): Promise<void>;
  runSync(segment: number): void;
  /** The outputs in the plan's order; those that are no native memory are undefined. */
  finish(): (Tensor | undefined)[];
  /** Gives up the run. */
  cancel(): void;
}

/** A piece of a run that can be waited for or done on the spot. */
interface Work {
  asynchronously(): Promise<readonly RuntimeValue[]>;
  synchronously(): readonly RuntimeValue[];
}

type Run = Generator<Work, RuntimeValue[], readonly RuntimeValue[]>;

export class StepDriver implements Driver {
  readonly #program: PlanProgram;
  readonly #facts: ProgramFacts;
  readonly #executors: ReadonlyMap<string, StepExecutor>;
  readonly #native: NativeSegments | undefined;
  readonly #debug: boolean;
  readonly #calls: Float64Array;
  readonly #nanoseconds: Float64Array;
  #profiling = false;

  /** @param executors by backend; segments of other backends run natively */
  constructor(
    program: PlanProgram,
    facts: ProgramFacts,
    executors: ReadonlyMap<string, StepExecutor>,
    native: NativeSegments | undefined,
    debug: boolean,
  ) {
    this.#program = program;
    this.#debug = debug;
    this.#facts = facts;
    this.#executors = executors;
    this.#native = native;
    this.#calls = new Float64Array(program.steps.length);
    this.#nanoseconds = new Float64Array(program.steps.length);
  }

  async run(request: RunRequest): Promise<RuntimeValue[]> {
    const run = this.#run(request);
    let since = performance.now();
    let next = run.next([]);
    while (!next.done) {
      let result: readonly RuntimeValue[];
      try {
        result = await next.value.asynchronously();
        if (performance.now() - since > sliceMs) {
          await setImmediate();
          since = performance.now();
        }
      } catch (error) {
        next = run.throw(error);
        continue;
      }
      next = run.next(result);
    }
    return next.value;
  }

  runSync(request: RunRequest): RuntimeValue[] {
    const run = this.#run(request);
    let next = run.next([]);
    while (!next.done) {
      let result: readonly RuntimeValue[];
      try {
        result = next.value.synchronously();
      } catch (error) {
        next = run.throw(error);
        continue;
      }
      next = run.next(result);
    }
    return next.value;
  }

  *#run(request: RunRequest): Run {
    const values = new ValueStore(this.#program, this.#facts, onHost(request), request.symbols, this.#native);
    const options: StepRunOptions = {
      symbols: request.symbols,
      debug: this.#debug,
      ...(request.signal && { signal: request.signal }),
      ...(request.maxIterations !== undefined && { maxIterations: request.maxIterations }),
    };
    if (this.#native) this.#native.begin(request);
    else checkAgreements(this.#program, request.symbols);
    let finished = false;
    try {
      for (const [index, segment] of this.#program.segments.entries()) {
        request.signal?.throwIfAborted();
        const executor = this.#executors.get(segment.backend);
        if (executor) yield* this.#steps(segment, executor, values, options);
        else yield* this.#nativeSegment(index, segment, values);
      }
      request.signal?.throwIfAborted();
      const native = this.#native?.finish();
      finished = true;
      return this.#program.outputs.map((value, i) => native?.[i] ?? values.whole(value));
    } finally {
      if (!finished) this.#native?.cancel();
    }
  }

  *#steps(
    segment: PlanSegment,
    executor: StepExecutor,
    values: ValueStore,
    options: StepRunOptions,
  ): Generator<Work, void, readonly RuntimeValue[]> {
    for (let i = segment.begin; i < segment.end; i++) {
      options.signal?.throwIfAborted();
      const step = this.#program.steps[i]!;
      const inputs = step.inputs.map((operand) => (operand ? values.read(operand) : undefined));
      const started = this.#profiling ? process.hrtime.bigint() : 0n;
      let results: readonly RuntimeValue[];
      try {
        results = yield {
          asynchronously: () => executor.run(step, inputs, options),
          synchronously: () => runSync(executor, segment, step, inputs, options),
        };
      } catch (error) {
        throw options.signal?.aborted === true ? error : nameLayer(error, step);
      }
      if (this.#profiling) {
        this.#calls[i]! += 1;
        this.#nanoseconds[i]! += Number(process.hrtime.bigint() - started);
      }
      step.outputs.forEach((operand, k) => {
        if (operand) values.write(operand, results[k], step.layer.name);
      });
      values.release(i);
    }
  }

  *#nativeSegment(
    index: number,
    segment: PlanSegment,
    values: ValueStore,
  ): Generator<Work, void, readonly RuntimeValue[]> {
    const native = this.#native;
    if (!native)
      throw new TensorwrightError('ERR_INTERNAL', `no executor runs segments of backend '${segment.backend}'`);
    yield {
      asynchronously: async () => {
        await native.run(index);
        return [];
      },
      synchronously: () => {
        native.runSync(index);
        return [];
      },
    };
    for (const value of this.#facts.bindersOf(segment)) values.learnFromNative(value);
    for (let i = segment.begin; i < segment.end; i++) values.release(i);
  }

  setProfiling(on: boolean): void {
    this.#profiling = on;
    this.#native?.setProfiling(on);
    if (!on) return;
    this.#calls.fill(0);
    this.#nanoseconds.fill(0);
  }

  profile(): readonly StepTiming[] {
    const native = this.#native?.profile();
    const times: StepTiming[] = [];
    for (const { backend, begin, end } of this.#program.segments) {
      for (let i = begin; i < end; i++) {
        times.push(
          this.#executors.has(backend)
            ? { calls: this.#calls[i]!, nanoseconds: this.#nanoseconds[i]!, waits: 0, copiedBytes: 0 }
            : native![i]!,
        );
      }
    }
    return times;
  }

  memory(): ContextMemory {
    return this.#native?.memory() ?? { arena: 0, heap: 0, workspace: 0, device: 0, staging: 0, graphs: 0 };
  }

  deviceWork(): DeviceWork | undefined {
    return this.#native?.deviceWork();
  }

  async deviceTimes(plays: number): Promise<DeviceTimes | undefined> {
    return this.#native?.deviceTimes(plays);
  }

  close(): void {
    this.#native?.close();
  }
}

function runSync(
  executor: StepExecutor,
  segment: PlanSegment,
  step: PlanStep,
  inputs: readonly (RuntimeValue | undefined)[],
  options: StepRunOptions,
): readonly RuntimeValue[] {
  if (executor.runSync) return executor.runSync(step, inputs, options);
  throw new TensorwrightError(
    'ERR_UNSUPPORTED',
    `backend '${segment.backend}' cannot run synchronously: use run() instead of runSync()`,
    { backend: segment.backend },
  );
}

/** @throws ERR_UNSUPPORTED for device buffers: values pass through the host between these backends */
function onHost({ inputs, outputs }: RunRequest): RuntimeValue[] {
  return inputs.map((value) => {
    if (!(value instanceof DeviceBuffer) && !outputs.some((o) => o instanceof DeviceBuffer)) return value;
    throw new TensorwrightError(
      'ERR_UNSUPPORTED',
      'run: device buffers need a plan whose steps all run natively; this one has steps on the reference backend',
    );
  });
}

/** Errors of a step carry the name that its layer has in the user's model. */
function nameLayer(error: unknown, step: PlanStep): unknown {
  const { name, origins } = step.layer;
  if (TensorwrightError.is(error)) {
    if (error.message.includes(`'${name}'`)) return error;
    return new TensorwrightError(
      error.code,
      `layer '${name}': ${error.message}`,
      { ...error.details, layer: name, origins },
      { cause: error },
    );
  }
  const message = error instanceof Error ? error.message : String(error);
  return new TensorwrightError(
    'ERR_INTERNAL',
    `layer '${name}' failed: ${message}`,
    { layer: name, origins },
    { cause: error },
  );
}
