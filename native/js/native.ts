/** The native library as one object. */

import type { Binding } from './binding.js';
import { Cuda } from './cuda.js';
import { type LoadedBinding, loadBinding } from './load.js';
import type { PlanAttribute, PlanProgram } from './plan.js';
import { PluginLibraryHandle, type PluginRecord } from './plugin-library.js';
import { CancelToken, Program, Weights } from './program.js';
import { type NativeTensor, readable } from './tensor.js';
import { type Trial, type TrialOptions, TrialProcess, type TrialProcessOptions } from './trial-process.js';

export interface NativeOptions {
  /** Threads of a program's kernels, the caller's included. Default: the physical cores this process may use. */
  readonly threads?: number;
  /** Index of the device that steps of a device run on. Default: 0. */
  readonly device?: number;
}

export interface TimeOptions {
  /** Measure at least this long in all. Default: 10 ms. */
  readonly minNanoseconds?: number;
  /** Measure at most this often. Default: 1000. */
  readonly maxRuns?: number;
  readonly cancel?: CancelToken;
}

/** Bytes of a file, mapped read-only. The offset should be a multiple of 64. */
export interface FileRange {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

export class Native {
  /** NVIDIA devices. */
  readonly cuda: Cuda;
  readonly #binding: Binding;
  readonly #path: string;

  /** @internal */
  constructor({ binding, path }: LoadedBinding) {
    this.#binding = binding;
    this.#path = path;
    this.cuda = new Cuda(binding);
  }

  /** Of the addon's interface; the loader has checked it. */
  get interfaceNumber(): number {
    return this.#binding.interfaceNumber;
  }

  /** The instruction set level in use: 'x86-64-v2' ('generic' off x86), 'avx2', 'avx512' or 'amx'. */
  isa(): string {
    return this.#binding.isa();
  }

  /** Uses at most this level from now on, in the whole process: for tests. */
  limitIsa(name: string): void {
    this.#binding.limitIsa(name);
  }

  /** Levels and extensions of the processor that kernels make use of. */
  features(): string[] {
    return this.#binding.features();
  }

  kernelNames(): string[] {
    return this.#binding.kernelNames();
  }

  /** Physical cores this process may use, by its affinity mask and its container's quota. */
  defaultThreads(): number {
    return this.#binding.defaultThreads();
  }

  /** @throws ERR_INVALID_ARGUMENT for a tactic without packed weights */
  packedBytes(
    tactic: string,
    attributes: Readonly<Record<string, PlanAttribute>>,
    weightDims: readonly number[],
  ): number {
    return this.#binding.packedBytes(tactic, attributes, weightDims);
  }

  /** Brings weights into the form a tactic's kernel reads. The result does not depend on this machine. */
  async pack(
    tactic: string,
    attributes: Readonly<Record<string, PlanAttribute>>,
    weights: Omit<NativeTensor, 'data'> & { readonly bytes: Uint8Array },
  ): Promise<Uint8Array> {
    const { dtype, dims, bytes } = weights;
    return this.#binding.pack(tactic, attributes, [readable({ dtype, dims, data: bytes })]);
  }

  /** Whether a loaded library has the plugin. */
  hasPlugin({ name, version, namespace }: Pick<PluginRecord, 'name' | 'version' | 'namespace'>): boolean {
    return this.#binding.hasPlugin(name, version, namespace);
  }

  /**
   * Loads a plugin library.
   * @throws ERR_PLUGIN when the file is none, or one for another interface
   */
  openPlugins(path: string): PluginLibraryHandle {
    return new PluginLibraryHandle(this.#binding, this.#binding.openPlugins(path));
  }

  /** Weights from a file, mapped, or from memory, copied. Close them when their programs have been created. */
  openWeights(source: FileRange | Uint8Array): Weights {
    const handle =
      source instanceof Uint8Array
        ? this.#binding.copyWeights(source)
        : this.#binding.mapWeights(source.path, source.offset, source.bytes);
    return new Weights(this.#binding, handle);
  }

  /**
   * Checks a plan program and makes its kernels. Nothing in it is trusted.
   * @throws ERR_INVALID_PLAN naming the field
   */
  createProgram(program: PlanProgram, weights: Weights | null, options: NativeOptions = {}): Program {
    return new Program(
      this.#binding,
      this.#binding.createProgram(program, weights?.handle ?? null, options.threads ?? 0, options.device ?? 0),
    );
  }

  /**
   * As `createProgram`, off the JavaScript thread: code and constants go to the device, and libraries start there.
   * The weights may be closed when it has settled.
   */
  async loadProgram(program: PlanProgram, weights: Weights | null, options: NativeOptions = {}): Promise<Program> {
    const { threads = 0, device = 0 } = options;
    return new Program(
      this.#binding,
      await this.#binding.loadProgram(program, weights?.handle ?? null, threads, device),
    );
  }

  /** Nanoseconds of each run on random inputs of these dims, in ascending order. */
  async time(
    program: Program,
    inputsDims: readonly (readonly number[])[],
    options: TimeOptions = {},
  ): Promise<number[]> {
    const { minNanoseconds = 10_000_000, maxRuns = 1000, cancel } = options;
    const trial = await this.#binding.try(
      program.handle,
      inputsDims,
      minNanoseconds,
      maxRuns,
      false,
      false,
      cancel?.handle,
    );
    return trial.nanoseconds;
  }

  /**
   * Runs a program on random inputs, the same for all programs, in this process.
   * @param options threads and device are the program's
   */
  async try(
    program: Program,
    inputsDims: readonly (readonly number[])[],
    options: Omit<TrialOptions, 'threads' | 'device'> = {},
  ): Promise<Trial> {
    const { minNanoseconds = 10_000_000, maxRuns = 1000, coldConstants = false, outputs = false } = options;
    return this.#binding.try(program.handle, inputsDims, minNanoseconds, maxRuns, coldConstants, outputs, undefined);
  }

  /** What tries programs in a process of their own. Nothing starts before the first trial. */
  startTrials(options: TrialProcessOptions): TrialProcess {
    return new TrialProcess(this.#path, options);
  }

  createCancelToken(): CancelToken {
    return new CancelToken(this.#binding);
  }

  /**
   * A digest of the content in 64 hex digits: the first half of the BLAKE2b-512 of the concatenated BLAKE2b-512 digests
   * of its pieces of 1 MiB. Computed on all cores.
   */
  async digest(bytes: Uint8Array): Promise<string> {
    return this.#binding.digest(readable({ dtype: 'uint8', dims: [bytes.length], data: bytes }).data);
  }
}

let loaded: Native | undefined;

/**
 * The native library; loaded by the first call: TENSORWRIGHT_NATIVE_PATH if set, else the repository's own build, else
 * the platform's package.
 * @throws NativeLoadError naming every place tried and the reason
 */
export function loadNative(): Native {
  loaded ??= new Native(loadBinding());
  return loaded;
}
