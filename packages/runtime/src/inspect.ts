/** What an engine consists of, layer by layer, as plain data for people and tools. */

import {
  byteLength,
  elementCount,
  formatType,
  type PlanHeader,
  type PlanOperand,
  type PlanProgram,
  type PlanReport,
  type PlanStep,
} from '@tensorwright/core';
import type { LayerProfile } from './execution-context.js';
import { inspectLibraries, inspectPlugins, type LibraryInspection, type PluginInspection } from './inspect-plugins.js';
import { SymbolicDims } from './plan/expressions.js';
import { describeTensor, type TensorInfo } from './tensor-info.js';

/** What a layer reads or writes. */
export interface OperandInspection {
  /** Names in the user's model. */
  readonly names: readonly string[];
  /** 'float32[batch, 64, 56, 56]' */
  readonly type: string;
  /** Where it lies: input, constant, arena, heap, dims, object. */
  readonly storage: string;
  /** Physical order of the axes, outermost first, where it is not row-major. */
  readonly order?: readonly number[];
  /** A strided view of a larger value. */
  readonly view: boolean;
  /** At the largest shapes; undefined where only the run tells. */
  readonly bytes: number | undefined;
}

/** One step of a plan: a node of the model, or several that run as one. */
export interface LayerInspection {
  /** Its place in the order of execution. */
  readonly index: number;
  /** After one of the nodes that it computes. */
  readonly name: string;
  /** What kind of work it is: 'contraction', 'map', 'reduce', 'window', 'opaque' … */
  readonly kind: string;
  /** Nodes of the user's model that run here. */
  readonly origins: readonly string[];
  /** That runs it: 'cuda', 'cpu', 'plugins', 'reference' … */
  readonly backend: string;
  /** The backend's name of the code. */
  readonly kernel: string;
  /** How it is computed: what the build chose among the backend's ways. */
  readonly tactic: string;
  /** In the kernel's order; null: omitted. */
  readonly inputs: readonly (OperandInspection | null)[];
  /** In the kernel's order; null: not wanted. */
  readonly outputs: readonly (OperandInspection | null)[];
  /** Constant operands, in bytes. */
  readonly weightBytes: number;
  /** Measured when the plan was built. */
  readonly builtMicroseconds?: number;
  /** Over all contexts that profile. */
  readonly profile?: {
    readonly calls: number;
    readonly microseconds: number;
    readonly waits: number;
    readonly copiedBytes: number;
  };
  /** Layers of the bodies of control steps. */
  readonly bodies?: readonly (readonly LayerInspection[])[];
}

/** Memory that an engine and its contexts hold now, in bytes. */
export interface EngineMemory {
  /** Of a device: weights, shared by all contexts. Code is the driver's, and not counted. */
  readonly deviceWeights: number;
  /** Open contexts without a run in progress: the ones counted below. */
  readonly contexts: number;
  /** Of a device, of those contexts together. */
  readonly device: number;
  /** Of the host, of those contexts together. */
  readonly host: number;
}

/** What the plan alone tells. */
export interface PlanInspection {
  /** Of the network that was built. */
  readonly name: string;
  /** The builder and its version. */
  readonly producer: string;
  /** Those that run its layers, with their versions and what they need of a machine. */
  readonly backends: PlanHeader['backends'];
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** The optimization profiles of the build; empty: any shape runs. */
  readonly profiles: PlanHeader['profiles'];
  /** In the order of execution. */
  readonly layers: readonly LayerInspection[];
  /** Plugins that its layers call, and who has their code. */
  readonly plugins: readonly PluginInspection[];
  /** Plugin libraries that the plan carries. */
  readonly libraries: readonly LibraryInspection[];
  /** What the build noted: memory, what backends refused, tactics that were dropped, patterns of plugins. */
  readonly report: PlanReport;
}

/** What a loaded plan tells. */
export interface EngineInspection extends PlanInspection {
  /** What it holds now. */
  readonly memory: EngineMemory;
}

/** @param profiles of contexts that measure, each with one entry per layer */
export function inspectHeader(header: PlanHeader, profiles: readonly (readonly LayerProfile[])[]): PlanInspection {
  const { name, producer, backends, program, report } = header;
  const symbolic = new SymbolicDims(program);
  return {
    name,
    producer,
    backends,
    inputs: header.inputs.map((b) => describeTensor(b, header, symbolic)),
    outputs: header.outputs.map((b) => describeTensor(b, header, symbolic)),
    profiles: header.profiles,
    layers: inspectProgram(program, profiles),
    plugins: inspectPlugins(header),
    libraries: inspectLibraries(header),
    report,
  };
}

function inspectProgram(program: PlanProgram, profiles: readonly (readonly LayerProfile[])[]): LayerInspection[] {
  const symbolic = new SymbolicDims(program);
  return program.segments.flatMap(({ backend, begin, end }) =>
    program.steps
      .slice(begin, end)
      .map((step, k) => inspectStep(step, begin + k, backend, program, symbolic, profiles)),
  );
}

function inspectStep(
  step: PlanStep,
  index: number,
  backend: string,
  program: PlanProgram,
  symbolic: SymbolicDims,
  profiles: readonly (readonly LayerProfile[])[],
): LayerInspection {
  const operand = (o: PlanOperand | null): OperandInspection | null =>
    o ? inspectOperand(o, program, symbolic) : null;
  const { name, kind, origins, tactic, microseconds } = step.layer;
  const inputs = step.inputs.map(operand);
  return {
    index,
    name,
    kind,
    origins,
    backend,
    kernel: step.kernel,
    tactic,
    inputs,
    outputs: step.outputs.map(operand),
    weightBytes: inputs.reduce((sum, o) => sum + (o?.storage === 'constant' ? (o.bytes ?? 0) : 0), 0),
    ...(microseconds !== undefined && { builtMicroseconds: microseconds }),
    ...(profiles.length > 0 && {
      profile: {
        calls: profiles.reduce((sum, p) => sum + (p[index]?.calls ?? 0), 0),
        microseconds: profiles.reduce((sum, p) => sum + (p[index]?.microseconds ?? 0), 0),
        waits: profiles.reduce((sum, p) => sum + (p[index]?.waits ?? 0), 0),
        copiedBytes: profiles.reduce((sum, p) => sum + (p[index]?.copiedBytes ?? 0), 0),
      },
    }),
    ...(step.programs && { bodies: step.programs.map((p) => inspectProgram(p, [])) }),
  };
}

function inspectOperand(operand: PlanOperand, program: PlanProgram, symbolic: SymbolicDims): OperandInspection {
  const { dtype, dims, order, storage, names = [] } = program.values[operand.value]!;
  const indices = operand.dims ?? dims;
  const extents = indices && symbolic.dims(indices);
  const fixed = extents?.every((d) => typeof d === 'number') === true;
  const whole = storage.kind === 'constant' || storage.kind === 'arena' ? storage.bytes : undefined;
  return {
    names,
    type: dtype ? formatType({ kind: 'tensor', dtype, dims: extents }) : 'object',
    storage: storage.kind,
    ...(order && { order }),
    view: operand.dims !== undefined,
    bytes: fixed && dtype ? byteLength(dtype, elementCount(extents)) : operand.dims ? undefined : whole,
  };
}
