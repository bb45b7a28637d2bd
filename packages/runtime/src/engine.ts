/** A loaded plan: weights and compiled steps, shared by the execution contexts that run it. */

import { type PlanHeader, type PlanReport, TensorwrightError } from '@tensorwright/core';
import { ExecutionContext, type ContextOptions } from './execution-context.js';
import { type EngineInspection, type EngineMemory, inspectHeader } from './inspect.js';
import { checkOptions, is } from './options.js';
import { SymbolicDims } from './plan/expressions.js';
import type { WeightsReader } from './plan/weights-reader.js';
import { InputBinder } from './run/bind-inputs.js';
import type { ContextMemory, Driver } from './run/driver.js';
import { describeTensor, type TensorInfo } from './tensor-info.js';

/** What an engine is made of. */
export interface EngineParts {
  readonly header: PlanHeader;
  readonly weights: WeightsReader;
  /** Bytes of a device's memory that hold weights. */
  readonly deviceBytes: number;
  createDriver(options: ContextOptions): Driver;
  /** Releases what contexts share. */
  release(): Promise<void>;
}

/** Releases what engines held that were dropped without being closed. */
const abandoned = new FinalizationRegistry<EngineParts>((parts) => {
  parts.release().catch(() => undefined);
});

/** A loaded plan. `Runtime.load` makes it; contexts run it, as many at once as there are. */
export class Engine {
  /** Of the network that was built. */
  readonly name: string;
  /** What a run must be given, in the model's order. */
  readonly inputs: readonly TensorInfo[];
  /** What a run gives, in the model's order. */
  readonly outputs: readonly TensorInfo[];
  /** The optimization profiles of the build, each with min, opt and max of the dynamic inputs; empty: any shape runs. */
  readonly profiles: PlanHeader['profiles'];
  /** What the build noted: memory, and nodes that a preferred backend refused. */
  readonly report: PlanReport;
  readonly #parts: EngineParts;
  readonly #binder: InputBinder;
  readonly #contexts = new Set<WeakRef<ExecutionContext>>();
  #closing: Promise<void> | undefined;

  /** @internal `Runtime.load` makes engines. */
  constructor(parts: EngineParts) {
    const { header } = parts;
    const symbolic = new SymbolicDims(header.program);
    this.#parts = parts;
    this.name = header.name;
    this.inputs = header.inputs.map((b) => describeTensor(b, header, symbolic));
    this.outputs = header.outputs.map((b) => describeTensor(b, header, symbolic));
    this.profiles = header.profiles;
    this.report = header.report;
    this.#binder = new InputBinder(header, this.inputs, symbolic);
    abandoned.register(this, parts, this);
  }

  /**
   * A context with its own memory. Contexts run in parallel; runs of one context follow each other.
   * @throws ERR_INVALID_OPTION, ERR_OUT_OF_MEMORY, ERR_DISPOSED after close
   */
  createContext(options: ContextOptions = {}): ExecutionContext {
    this.#checkOpen();
    checkOptions<ContextOptions>('createContext', options, {
      profile: (v) =>
        Number.isInteger(v) && (v as number) >= 0 && (v as number) < this.profiles.length
          ? undefined
          : this.#knownProfiles(),
      poison: is.flag,
      graphs: is.flag,
      debug: is.flag,
    });
    const context: ExecutionContext = new ExecutionContext(
      {
        header: this.#parts.header,
        outputs: this.outputs,
        binder: this.#binder,
        weights: this.#parts.weights,
        driver: this.#parts.createDriver(options),
        onClose: () => this.#contexts.delete(reference),
      },
      options,
    );
    const reference = new WeakRef(context);
    this.#contexts.add(reference);
    return context;
  }

  #knownProfiles(): string {
    const count = this.profiles.length;
    return count === 0 ? 'absent: the plan has no profiles' : `the index of a profile, 0 to ${count - 1}`;
  }

  /**
   * The engine as plain data: per layer its origin, kernel, tactic, types and sizes, and times where contexts profile.
   * Contexts with a run in progress are left out of times and memory.
   * @throws ERR_DISPOSED after close
   */
  inspect(): EngineInspection {
    this.#checkOpen();
    const profiling = this.#liveContexts().filter((c) => c.profiling && !c.busy);
    const profiles = profiling.map((c) => c.profile());
    return { ...inspectHeader(this.#parts.header, profiles), memory: this.#memory() };
  }

  #memory(): EngineMemory {
    const contexts = this.#liveContexts();
    const idle = contexts.filter((c) => !c.busy && !c.closed).map((c) => c.memory());
    const sum = (part: (m: ContextMemory) => number): number => idle.reduce((total, m) => total + part(m), 0);
    return {
      deviceWeights: this.#parts.deviceBytes,
      contexts: idle.length,
      device: sum((m) => m.device),
      host: sum((m) => m.arena + m.heap + m.workspace - m.device + m.staging),
    };
  }

  /** Closes the engine and its contexts, after the runs in progress. Closing twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    abandoned.unregister(this);
    await Promise.all(this.#liveContexts().map((c) => c.close()));
    await this.#parts.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #liveContexts(): ExecutionContext[] {
    const live: ExecutionContext[] = [];
    for (const reference of this.#contexts) {
      const context = reference.deref();
      if (context) live.push(context);
      else this.#contexts.delete(reference);
    }
    return live;
  }

  #checkOpen(): void {
    if (this.#closing) throw new TensorwrightError('ERR_DISPOSED', `the engine '${this.name}' is closed`);
  }
}
