/** What the addon exports, as it is. Only this package calls it. */

import type { DeviceWork, MemoryUse, StepTiming } from './context.js';
import type { CudaLibraryStatus, CudaStatus, DeviceMemoryState } from './cuda.js';
import type { CudnnConfiguration, CudnnConvolution } from './cudnn.js';
import type { NativeErrorCode } from './errors.js';
import type { PlanAttribute, PlanOperand, PlanProgram } from './plan.js';
import type { PluginAnswer, PluginInference, PluginMatch, PluginRecord, PluginShape } from './plugin-library.js';
import type { NativeTensor } from './tensor.js';

/** An object of the addon: meaningless but as an argument. */
export type Handle = object;

export type OutputMemory = Pick<NativeTensor, 'dtype' | 'data'>;

export interface Binding {
  readonly interfaceNumber: number;
  setErrorFactory(create: (code: NativeErrorCode, message: string) => Error): void;
  isa(): string;
  limitIsa(name: string): void;
  features(): string[];
  kernelNames(): string[];
  defaultThreads(): number;
  digest(bytes: Uint8Array): Promise<string>;
  packedBytes(
    tactic: string,
    attributes: Readonly<Record<string, PlanAttribute>>,
    weightDims: readonly number[],
  ): number;
  pack(
    tactic: string,
    attributes: Readonly<Record<string, PlanAttribute>>,
    weights: readonly [NativeTensor],
  ): Promise<Uint8Array>;
  mapWeights(path: string, offset: number, bytes: number): Handle;
  copyWeights(bytes: Uint8Array): Handle;
  createProgram(program: PlanProgram, weights: Handle | null, threads: number, device: number): Handle;
  /** The same off the JavaScript thread. */
  loadProgram(program: PlanProgram, weights: Handle | null, threads: number, device: number): Promise<Handle>;
  /** Bytes of the device's memory that hold the program's constants. */
  deviceConstantBytes(program: Handle): number;
  deviceAllocate(bytes: number, device: number): Handle;
  deviceMemory(device: number): DeviceMemoryState;
  deviceWrite(memory: Handle, data: ArrayBufferView): Promise<void>;
  deviceRead(memory: Handle, data: ArrayBufferView): Promise<void>;
  createContext(program: Handle, poison: boolean, recordings: boolean, guards: boolean): Handle;
  close(handle: Handle): void;
  run(
    context: Handle,
    inputs: readonly (NativeTensor | null)[],
    outputs: readonly (OutputMemory | null)[] | undefined,
    token: Handle | undefined,
    maxIterations: number | undefined,
  ): Promise<NativeTensor[]>;
  runSync(
    context: Handle,
    inputs: readonly (NativeTensor | null)[],
    outputs: readonly (OutputMemory | null)[] | undefined,
    token: Handle | undefined,
    maxIterations: number | undefined,
  ): NativeTensor[];
  /** Gives what must stay alive until `finish`. */
  begin(context: Handle, inputs: readonly (NativeTensor | null)[]): object;
  runSegment(
    context: Handle,
    segment: number,
    token: Handle | undefined,
    maxIterations: number | undefined,
    pinned: object | undefined,
  ): Promise<void>;
  read(context: Handle, operand: number | PlanOperand): NativeTensor;
  write(context: Handle, operand: number | PlanOperand, tensor: NativeTensor): void;
  finish(context: Handle): (NativeTensor | null)[];
  abandon(context: Handle): void;
  setProfiling(context: Handle, on: boolean): void;
  profile(context: Handle): StepTiming[];
  deviceTimes(
    context: Handle,
    repeats: number,
    plays: number,
  ): Promise<{ device: number[]; enqueue: number[]; complete: boolean }>;
  symbols(context: Handle): (number | null)[];
  memory(context: Handle): MemoryUse;
  deviceWork(context: Handle): DeviceWork | undefined;
  /** Runs on random inputs; `maxRuns` 0: without measuring; `outputs`: gives what the last step computes. */
  try(
    program: Handle,
    inputsDims: readonly (readonly number[])[],
    minNanoseconds: number,
    maxRuns: number,
    coldConstants: boolean,
    outputs: boolean,
    token: Handle | undefined,
  ): Promise<{ nanoseconds: number[]; outputs: (NativeTensor | null)[] }>;
  /** Loads a plugin library, whose plugins plans may call until it is released. */
  openPlugins(path: string): Handle;
  hasPlugin(name: string, version: string, namespace: string): boolean;
  releasePlugins(library: Handle): void;
  listPlugins(library: Handle): PluginRecord[];
  inferPlugin(
    library: Handle,
    plugin: number,
    fields: Readonly<Record<string, PlanAttribute>>,
    inputs: readonly (PluginShape | null)[],
  ): PluginInference;
  supportsPlugin(
    library: Handle,
    plugin: number,
    fields: Readonly<Record<string, PlanAttribute>>,
    inputs: readonly (PluginShape | null)[],
    outputs: readonly PluginShape[],
    backend: 'cpu' | 'cuda',
  ): boolean;
  matchPlugin(library: Handle, plugin: number, pattern: number, match: PluginMatch): PluginAnswer;
  /** Never rejects: `cudaStatus` and the two below say what is missing. */
  cudaOpen(cublasLt: boolean, cudnn: boolean): Promise<void>;
  cudaStatus(): Omit<CudaStatus, 'cublasLt' | 'cudnn'>;
  cudaCublasLtStatus(): CudaLibraryStatus;
  cudaCudnnStatus(): CudaLibraryStatus;
  cudaCudnnConfigurations(convolution: CudnnConvolution, most: number): Promise<CudnnConfiguration[]>;
  cudaCudnnPlan(convolution: CudnnConvolution, configuration: CudnnConfiguration): Promise<number>;
  cudaCompile(text: string, options: readonly string[]): Promise<Uint8Array>;
  /** Whether the next run leaves the event loop a core of its own. */
  leavesCore(context: Handle): boolean;
  /** Settles what has finished. Jobs that finish before the next call wake nobody if that is to come `again`, soon. */
  poll(again: boolean): void;
  createToken(): Handle;
  cancel(token: Handle): void;
}
