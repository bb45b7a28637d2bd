/** The contract of a backend: what it runs and how. Tactics live in backends and nowhere else. */

import type { ConstantData } from './constant.js';
import type { Dim, DimSymbol } from './dim.js';
import type { DType } from './dtype.js';
import { TensorwrightError } from './errors.js';
import type { Node } from './graph.js';
import type { Logger, LogRecord } from './logger.js';
import type { RuntimeValue } from './operator.js';
import type { PlanAttribute, PlanMemory, PlanProgram, PlanStep } from './plan.js';
import type { MemoryView } from './memory-view.js';
import type { Tensor } from './tensor.js';

/**
 * Physical order of a value's axes. `rows`: row-major; `channelsLast`: axis 1 innermost (NHWC, NWC, NDHWC);
 * `headsInner`: axes 1 and 2 swapped, so that all heads of a position lie side by side.
 */
export type Layout = 'rows' | 'channelsLast' | 'headsInner';

/** How a tactic takes an operand: dense in a layout, or through any strides. */
export type Access = Layout | 'strided';

/** Libraries that tactics may call where they are installed. Every node has a tactic that calls none. */
export const tacticSources = ['cublasLt', 'cudnn'] as const;
export type TacticSource = (typeof tacticSources)[number];

export interface Candidate {
  /** The tactic's name: 'conv.winograd4', 'onednn.conv' … */
  readonly tactic: string;
  /** Plain data, JSON: what `emit` needs to make the step. */
  readonly parameters: Readonly<Record<string, PlanAttribute>>;
  /** How each input is taken. */
  readonly inputs: readonly Access[];
  /** The layout of each output. */
  readonly outputs: readonly Layout[];
  /** For each output, the input that its step changes in place: they share their memory. Default: none. */
  readonly aliases?: readonly (number | undefined)[];
  /** The first output may be a strided slot of a larger tensor, dense in its innermost axis. */
  readonly stridedOutput: boolean;
  /** Model's estimate in microseconds; ranks candidates and decides alone at optimization level 0. */
  readonly estimate: number;
  /** Who provides it, with version: part of a timing-cache entry ('cpu 0.1.0 avx512'). */
  readonly producer: string;
  /** The library that its step calls. Default: none. */
  readonly source?: TacticSource;
  /** Microseconds that its step costs among others beside its time alone, more than other steps do. Default: 0. */
  readonly handover?: number;
  /** The plugin whose code its step is: it is tried before it is used, even where it has no rivals. Default: none. */
  readonly plugin?: string;
}

/** An operand of an emitted step: a group input, a group output, or a constant made at build time. */
export type EmittedOperand =
  /** `onHost`: row-major in the host's memory, wherever the backend works. Only of control steps. */
  | { readonly kind: 'input'; readonly index: number; readonly broadcast?: boolean; readonly onHost?: boolean }
  | { readonly kind: 'output'; readonly index: number }
  /** In the backend's own memory, unless the step's code on the host reads it. */
  | { readonly kind: 'constant'; readonly tensor: Tensor; readonly onHost?: boolean }
  /** An int64 vector of extents, evaluated when the shapes are known. */
  | { readonly kind: 'dims'; readonly values: readonly Dim[] }
  | { readonly kind: 'scratch'; readonly memory: ScratchMemory }
  | { readonly kind: 'omitted' };

/** What the steps of one node hand on to each other, in the backend's memory: a tensor known by its identity. */
export interface ScratchMemory {
  readonly dtype: DType;
  readonly dims: readonly Dim[];
}

/** Operands that are group inputs of smaller rank arrive padded to the first output's rank where `broadcast` is set. */
export interface EmittedStep {
  readonly kernel: string;
  readonly attributes: Readonly<Record<string, PlanAttribute>>;
  readonly inputs: readonly EmittedOperand[];
  readonly outputs: readonly EmittedOperand[];
  /**
   * Steps that run before it, in order: they write scratch memory, and may find out the extents of the outputs. Only of
   * backends with a memory of their own. Default: none.
   */
  readonly before?: readonly EmittedStep[];
}

/** What `emit` may ask of the plan under construction. */
export interface EmitContext {
  /** How the group's i-th input lies; undefined for what is no tensor of known rank. */
  view(input: number): MemoryView | undefined;
  /** Where the group's i-th output is to be written. */
  outputView(output: number): MemoryView | undefined;
  /** The plan's number of a symbol, for dims inside attributes. */
  symbol(s: DimSymbol): number;
  /** Puts a constant into the weights section. */
  constant(data: ConstantData): { readonly offset: number; readonly bytes: number };
}

/** A plan program with the weights it refers to, run to measure it. */
export interface Measurable {
  readonly program: PlanProgram;
  readonly weights: Uint8Array;
  /** Dims of the program's inputs for this measurement. */
  readonly inputDims: readonly (readonly number[])[];
}

/** What a program does on random inputs, which are the same for all programs with inputs of the same types and dims. */
export interface Trial {
  /** Nanoseconds of every run, ascending; empty when none was measured. */
  readonly nanoseconds: readonly number[];
  /** What the last step computes, in memory that held NaNs before: of a large tensor a sample; empty unless asked for. */
  readonly outputs: readonly (Tensor | undefined)[];
}

export interface TrialOptions {
  /** Measure its runs. */
  readonly timed: boolean;
  /** With constants that the device's cache does not hold, as in a network with more of them. Default: false. */
  readonly coldConstants?: boolean;
  /** Give what the last step computes. */
  readonly outputs: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Tries programs where a kernel that faults or hangs does no harm. One at a time. */
export interface Trials {
  /** @throws ERR_DEVICE when the program faults, ends its process or takes too long */
  try(work: Measurable, options: TrialOptions): Promise<Trial>;
  close(): void;
}

export interface TrialsOptions {
  /** Milliseconds that one trial may take. */
  readonly timeoutMs: number;
  readonly log: (record: Omit<LogRecord, 'scope'>) => void;
}

/** Several copies as one step. */
export interface JoinedCopies {
  /** Which of them, as indices. */
  readonly copies: readonly number[];
  readonly step: Promise<EmittedStep>;
}

export interface Backend {
  readonly name: string;
  /** Stands in every build's order without being named, before 'reference' alone. Default: false. */
  readonly implicit?: boolean;
  /** The memory its steps work in. Default: the host's. The plan carries values from one memory to the other. */
  readonly memory?: PlanMemory;
  /** Changes whenever tactics' code changes: part of timing-cache keys. */
  readonly version: string;
  /** What this machine offers, for timing-cache folders and reports; undefined when the backend cannot run here. */
  device(): DeviceDescription | undefined;
  /** Why the backend cannot run here; undefined when it can, or when there is nothing to add. */
  unavailable?(): string | undefined;
  /** Why this node (after grouping: a `group` node) cannot run here; undefined when it can. */
  refuses(node: Node): string | undefined;
  /**
   * Asks the libraries, off the calling thread, what `candidates` of this node is to know of them. Builds do so before
   * they ask for candidates; without it, tactics that must ask have none. Default: there is nothing to ask.
   */
  prepare?(node: Node, sources?: readonly TacticSource[]): Promise<void>;
  /**
   * Tactics for a supported node, best first by estimate.
   * @param sources libraries that may be asked; those of others are left out afterwards. Default: all
   */
  candidates(node: Node, sources?: readonly TacticSource[]): readonly Candidate[];
  emit(node: Node, candidate: Candidate, context: EmitContext): Promise<EmittedStep>;
  /** Microseconds from one step to the next that depends on it, beside the steps' own time. Default: 0. */
  readonly handover?: number;
  /**
   * Bytes of a tensor that are reordered in a microsecond. Layouts are chosen by what reordering takes, and by what the
   * candidates of each, but for libraries' and plugins', are foreseen to. Default: estimates only rank candidates of the
   * same layout.
   */
  readonly reorderingSpeed?: number;
  /** A copy between two views of the same extents in the backend's memory. Needed of backends with a memory of their own. */
  emitCopy?(dtype: DType, from: MemoryView, to: MemoryView): Promise<EmittedStep>;
  /**
   * Copies into one value that are worth one step for several of them; the others become steps of their own. Input k of
   * such a step is what its copy k reads, the output all of the value, from which the offsets of `to` count.
   */
  joinCopies?(
    dtype: DType,
    copies: readonly { readonly from: MemoryView; readonly to: MemoryView }[],
  ): readonly JoinedCopies[];
  /** Sorted run times in nanoseconds. Absent, and without `trials`: the backend's candidates are never timed. */
  measure?(work: Measurable, signal?: AbortSignal): Promise<number[]>;
  /** For one build, instead of `measure`: of backends whose kernels may fail in ways that end a process. */
  trials?(options: TrialsOptions): Trials;
  /** What steps of these kernels need of the machine besides the backend itself: 'cublasLt 13'. Default: nothing. */
  needs?(kernels: ReadonlySet<string>): readonly string[];
  /** Runs steps of its segments; absent for backends the native executor runs by itself. */
  createExecutor?(context: ExecutorContext): StepExecutor;
}

export interface DeviceDescription {
  /** What timings depend on: 'cpu avx512+vnni 2 cores 2500 MHz'. */
  readonly id: string;
  readonly description: string;
  /** Bytes of the cache that all its processors share. Default: not known. */
  readonly cacheBytes?: number;
}

/** Runs single steps in TypeScript. */
export interface StepExecutor {
  /** Checks and prepares a step when the plan is loaded. @throws ERR_INVALID_PLAN */
  prepare?(step: PlanStep): void;
  /** Inputs arrive dense and row-major, after the operand's view; outputs are taken so, in the step's order. */
  run(
    step: PlanStep,
    inputs: readonly (RuntimeValue | undefined)[],
    options: StepRunOptions,
  ): Promise<readonly RuntimeValue[]>;
  /** The same on the calling thread; absent: the plan cannot run synchronously. */
  runSync?(
    step: PlanStep,
    inputs: readonly (RuntimeValue | undefined)[],
    options: StepRunOptions,
  ): readonly RuntimeValue[];
}

/** The plan a step belongs to, as its executor needs it. */
export interface ExecutorContext {
  /** Bytes of the weights section. */
  weights(offset: number, bytes: number): Uint8Array;
}

export interface StepRunOptions {
  /** Values of the program's symbols known so far. */
  readonly symbols: ReadonlyMap<number, number>;
  readonly signal?: AbortSignal;
  readonly maxIterations?: number;
  readonly logger?: Logger;
  /** Watch code that is not ours: `ContextOptions.debug`. Default: false. */
  readonly debug?: boolean;
}

const backends = new Map<string, Backend>();

/** Adds a backend, or replaces the one of the same name. Packages of third parties call this. */
export function registerBackend(backend: Backend): void {
  backends.set(backend.name, backend);
}

export function registeredBackends(): string[] {
  return [...backends.keys()];
}

/** Those that stand in every build's order. */
export function implicitBackends(): Backend[] {
  return [...backends.values()].filter((b) => b.implicit === true);
}

/** The backend of plugins comes with their package. */
function packageOf(name: string): string {
  return name === 'plugins' ? '@tensorwright/plugins' : `@tensorwright/backend-${name}`;
}

/**
 * The backend of that name: a registered one, else the package `@tensorwright/backend-<name>`, which registers itself.
 * @throws ERR_BACKEND_UNAVAILABLE when there is none
 */
export async function loadBackend(name: string): Promise<Backend> {
  if (!backends.has(name) && /^[a-z][a-z0-9-]*$/.test(name)) {
    try {
      await import(packageOf(name));
    } catch (cause) {
      throw new TensorwrightError(
        'ERR_BACKEND_UNAVAILABLE',
        `backend '${name}' is not registered and the package ${packageOf(name)} cannot be loaded`,
        { backend: name },
        { cause },
      );
    }
  }
  const backend = backends.get(name);
  if (!backend)
    throw new TensorwrightError('ERR_BACKEND_UNAVAILABLE', `backend '${name}' is not registered`, {
      backend: name,
      registered: registeredBackends(),
    });
  return backend;
}
