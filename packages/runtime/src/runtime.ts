/** Loads plans. */

import {
  type Backend,
  type ExecutorContext,
  loadBackend,
  type Logger,
  type PlanHeader,
  silentLogger,
  type StepExecutor,
  TensorwrightError,
} from '@tensorwright/core';
import type { ContextOptions } from './execution-context.js';
import { Engine } from './engine.js';
import { inspectHeader, type PlanInspection } from './inspect.js';
import { checkOptions, is } from './options.js';
import { openPlan, type PlanLike, type PlanSource } from './plan/plan-source.js';
import { readPlan, type ReadPlan, verifyWeights } from './plan/read-plan.js';
import { WeightsReader } from './plan/weights-reader.js';
import type { Driver } from './run/driver.js';
import { EmbeddedLibraries } from './run/embedded-libraries.js';
import { type NativePlan, openNativePlan } from './run/native-plan.js';
import { nativeBackends } from './run/native-requirements.js';
import { ProgramFacts } from './run/program-facts.js';
import { StepDriver } from './run/step-driver.js';

/** How a plan is loaded. */
export interface LoadOptions {
  /** Threads of CPU kernels, shared by all contexts. Default: what the machine has. */
  readonly threads?: number;
  /** Index of the device that plans of a device run on. Default: 0. */
  readonly device?: number;
  /** Backends (objects, not names) besides the registered ones, which they stand before. Default: none. */
  readonly backends?: readonly Backend[];
  /** 'checksum' reads the weights once and compares their checksum; 'none' trusts them. Default: 'checksum'. */
  readonly verify?: 'checksum' | 'none';
  /**
   * Run the code of plugin libraries that the plan carries. It can do all that this process can: allow it only for plans
   * whose origin you trust. Default: false.
   */
  readonly allowCodeFromPlan?: boolean;
  /** Ends the loading: its promise rejects with the signal's reason. The engine knows nothing of it. Default: none. */
  readonly signal?: AbortSignal;
  /** Gets a record for each plan that is loaded. Default: none. */
  readonly logger?: Logger;
}

/** Loads plans into engines. */
export class Runtime {
  private constructor() {
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', 'Runtime is not constructed: call Runtime.load');
  }

  /**
   * Loads a plan from a file, from its bytes, or straight from the builder. Only the header is read; weights are mapped.
   * @throws ERR_INVALID_OPTION, ERR_INVALID_ARGUMENT when there is no such file, ERR_INVALID_PLAN naming the field (also of
   * plans of another format), ERR_BACKEND_UNAVAILABLE naming what this machine lacks, ERR_PLUGIN naming a plugin that is not
   * loaded, or a library whose code is not allowed
   */
  static async load(plan: string | URL | Uint8Array | PlanLike, options: LoadOptions = {}): Promise<Engine> {
    checkOptions<LoadOptions>('Runtime.load', options, {
      threads: is.integer(1, 1024),
      device: is.integer(0, 1024),
      backends: (v) => (Array.isArray(v) && v.every(isBackend) ? undefined : 'a list of backends, not of names'),
      verify: (v) => (v === 'checksum' || v === 'none' ? undefined : "'checksum' or 'none'"),
      allowCodeFromPlan: is.flag,
      signal: is.signal,
      logger: is.function,
    });
    const started = performance.now();
    const { signal, logger = silentLogger } = options;
    signal?.throwIfAborted();
    const source = await openPlan(plan, 'Runtime.load');
    let native: NativePlan | undefined;
    const libraries = new EmbeddedLibraries();
    const release = async (): Promise<void> => {
      native?.close();
      libraries.remove();
      await source.close();
    };
    try {
      const read = await readPlan(source);
      const executors = await openBackends(read.header, options.backends ?? [], source.place);
      if (read.weights && options.verify !== 'none') await verifyWeights(source, read.weights, signal);
      signal?.throwIfAborted();
      const isNative = read.header.program.segments.some((s) => nativeBackends.has(s.backend));
      native = await libraries.during(read, source, options.allowCodeFromPlan === true, async () =>
        isNative ? openNativePlan(read, source, options) : undefined,
      );
      signal?.throwIfAborted();
      const engine = assemble(read, source, executors, native, release);
      // A plan that runs natively alone has its weights mapped by now.
      if (executors.size === 0) await source.close();
      logger({
        level: 'info',
        scope: 'runtime',
        message: `loaded '${engine.name}'`,
        data: { place: source.place, milliseconds: performance.now() - started, threads: options.threads },
      });
      return engine;
    } catch (error) {
      await release();
      throw error;
    }
  }

  /**
   * What a plan consists of, without loading it: neither its backends and plugins nor a device have to be there.
   * @throws ERR_INVALID_ARGUMENT when there is no such file, ERR_INVALID_PLAN naming the field
   */
  static async inspect(plan: string | URL | Uint8Array | PlanLike): Promise<PlanInspection> {
    const source = await openPlan(plan, 'Runtime.inspect');
    try {
      return inspectHeader((await readPlan(source)).header, []);
    } finally {
      await source.close();
    }
  }
}

function isBackend(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string';
}

type BackendsInUse = ReadonlyMap<string, Backend>;

/** The backends that run their steps in TypeScript. @throws ERR_BACKEND_UNAVAILABLE saying what is needed */
async function openBackends(header: PlanHeader, given: readonly Backend[], place: string): Promise<BackendsInUse> {
  const inUse = new Map<string, Backend>();
  const used = new Set(header.program.segments.map((s) => s.backend));
  for (const { name, version, needs } of header.backends) {
    if (nativeBackends.has(name) || !used.has(name)) continue;
    const details = { file: place, backend: name, version, needs };
    const needed = `the plan needs backend '${name}' ${version}${needs.length > 0 ? ` (${needs.join(', ')})` : ''}`;
    let backend: Backend;
    try {
      backend = given.find((b) => b.name === name) ?? (await importBackend(name));
    } catch (cause) {
      throw new TensorwrightError(
        'ERR_BACKEND_UNAVAILABLE',
        `${place}: ${needed}: ${(cause as Error).message}`,
        details,
        { cause },
      );
    }
    if (!backend.createExecutor)
      throw new TensorwrightError(
        'ERR_BACKEND_UNAVAILABLE',
        `${place}: ${needed}, and the one that is registered cannot run steps`,
        details,
      );
    if (!backend.device())
      throw new TensorwrightError(
        'ERR_BACKEND_UNAVAILABLE',
        `${place}: ${needed}, which cannot run on this machine`,
        details,
      );
    inUse.set(name, backend);
  }
  return inUse;
}

/** Our own backends are dependencies of this package, wherever the core package lies. */
async function importBackend(name: string): Promise<Backend> {
  if (name === 'reference') await import('@tensorwright/backend-reference');
  return loadBackend(name);
}

function assemble(
  read: ReadPlan,
  source: PlanSource,
  backends: BackendsInUse,
  native: NativePlan | undefined,
  release: () => Promise<void>,
): Engine {
  const { header } = read;
  const { program } = header;
  const weights = new WeightsReader(source, read.weights);
  const context: ExecutorContext = { weights: (offset, bytes) => weights.read(offset, bytes) };
  const executors = new Map<string, StepExecutor>([...backends].map(([name, b]) => [name, b.createExecutor!(context)]));
  for (const { backend, begin, end } of program.segments) {
    const executor = executors.get(backend);
    for (let i = begin; executor?.prepare && i < end; i++) executor.prepare(program.steps[i]!);
  }
  const facts = new ProgramFacts(
    program,
    (offset, bytes) => weights.read(offset, bytes),
    (name) => !executors.has(name),
  );
  // Strings and objects never get there; inputs and constants may be results all the same.
  const isWhollyNative =
    executors.size === 0 && program.outputs.every((v) => ![undefined, 'string'].includes(program.values[v]!.dtype));
  const createDriver = (options: ContextOptions): Driver => {
    if (native && isWhollyNative) return native.createDriver(options);
    return new StepDriver(program, facts, executors, native?.createSegments(options), options.debug === true);
  };
  return new Engine({
    header,
    weights,
    deviceBytes: native?.deviceBytes ?? 0,
    createDriver,
    release,
  });
}
