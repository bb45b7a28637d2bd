/** One step of the device: a compiled kernel text and the launches of its functions, in order. */

import { type Dim, type EmittedOperand, type EmittedStep, type ScratchMemory, Tensor } from '@tensorwright/core';
import { compile } from '../compile/compile.js';
import { kernelText } from '../compile/kernel-text.js';
import type { Arguments, Member, Source } from './arguments.js';

export interface Launch {
  /** The name of an `extern "C" __global__` function of the text. */
  readonly function: string;
  /** Blocks; a launch with none is left out. */
  readonly grid: readonly [Dim, Dim, Dim];
  readonly block: readonly [number, number, number];
  /** Dynamic shared memory in bytes. Default: 0. */
  readonly sharedBytes?: number;
  /** Blocks of a cluster. Default: no clusters. */
  readonly cluster?: readonly [number, number, number];
}

export interface LaunchStep {
  /** Files of the kernel library that the text begins with, after the prelude: 'gemm' … */
  readonly uses?: readonly string[];
  /** Text between the struct of arguments and the library files: constants and holes that they use. */
  readonly holes?: string;
  /** The kernels themselves, after the library files. */
  readonly text: string;
  readonly arguments: Arguments;
  readonly launches: readonly Launch[];
  /** Scratch memory in bytes. Default: none. */
  readonly workspaceBytes?: Dim;
  /** Outputs of the group that the step writes. Default: the first. */
  readonly outputs?: number;
  /** Memory that steps of the node share and that this one is the first to write. Default: none. */
  readonly writes?: readonly ScratchMemory[];
}

export async function launchStep(step: LaunchStep): Promise<EmittedStep> {
  const { launches, workspaceBytes, writes = [] } = step;
  const text = [
    ...['prelude', 'scalar'].map(kernelText),
    step.arguments.declaration(),
    step.holes ?? '',
    ...(step.uses ?? []).map(kernelText),
    step.text,
  ].join('\n');
  const cubin = await compile(text);
  const dims = new DimTable();
  const written: EmittedOperand[] = Array.from({ length: step.outputs ?? 1 }, (_, index) => ({
    kind: 'output',
    index,
  }));
  const operands = new OperandTable(written.length, writes);
  for (const { grid } of launches) for (const d of grid) dims.push(d);
  const members = step.arguments.members.map((m) => describe(m, dims, operands));
  const workspace = workspaceBytes === undefined ? -1 : dims.push(workspaceBytes);
  return {
    kernel: 'launch',
    attributes: {
      functions: launches.map((l) => l.function),
      blocks: launches.flatMap((l) => l.block),
      shared: launches.map((l) => l.sharedBytes ?? 0),
      clusters: launches.flatMap((l) => l.cluster ?? [0, 0, 0]),
      members,
      workspace,
    },
    inputs: [
      { kind: 'constant', tensor: new Tensor('uint8', cubin, [cubin.length]), onHost: true },
      { kind: 'dims', values: dims.values },
      ...operands.operands,
    ],
    outputs: [...written, ...writes.map((memory) => ({ kind: 'scratch', memory }) as const)],
  };
}

/** Values that the host computes for each launch. */
class DimTable {
  readonly values: Dim[] = [];

  push(d: Dim): number {
    return this.values.push(d) - 1;
  }
}

/** Inputs of the step after the two that every launch has. */
class OperandTable {
  readonly operands: EmittedOperand[] = [];
  readonly #sources: Source[] = [];
  readonly #outputs: number;
  readonly #writes: readonly ScratchMemory[];

  /** @param writes outputs of the step after those of the group */
  constructor(outputs: number, writes: readonly ScratchMemory[]) {
    this.#outputs = outputs;
    this.#writes = writes;
  }

  /** 'i2': the step's third input; 'o0': its first output. */
  token(source: Source): string {
    if (source.kind === 'output') return `o${String(source.index)}`;
    const written = source.kind === 'scratch' ? this.#writes.indexOf(source.memory) : -1;
    if (written >= 0) return `o${String(this.#outputs + written)}`;
    let at = this.#sources.findIndex((s) => same(s, source));
    if (at < 0) {
      at = this.#sources.push(source) - 1;
      this.operands.push(source.kind === 'constant' ? { kind: 'constant', tensor: source.tensor } : source);
    }
    return `i${String(at + 2)}`;
  }
}

function same(a: Source, b: Source): boolean {
  if (a.kind === 'constant') return b.kind === 'constant' && a.tensor === b.tensor;
  if (a.kind === 'scratch') return b.kind === 'scratch' && a.memory === b.memory;
  return a.kind === b.kind && a.index === b.index;
}

/** A member in the plan's words; native/src/cuda/launch.cpp reads them. */
function describe(member: Member, dims: DimTable, operands: OperandTable): string {
  switch (member.kind) {
    case 'dim':
      return `d${String(dims.push(member.value))}`;
    case 'workspace':
      return `w${String(dims.push(member.offset))}`;
    case 'map': {
      const { operand, elementBytes, dims: extents, strides, box, swizzle, elementStrides, corners } = member.map;
      const list = (values: readonly Dim[]): string => values.map((d) => String(dims.push(d))).join(',');
      const fixed = (values: readonly number[]): string => values.join(',');
      return [
        `m${operands.token(operand)}`,
        `e${String(elementBytes)}`,
        `d${list(extents)}`,
        `s${list(strides)}`,
        `b${fixed(box)}`,
        `z${String(swizzle)}`,
        ...(elementStrides ? [`t${fixed(elementStrides)}`] : []),
        ...(corners ? [`l${fixed(corners.lower)}`, `u${fixed(corners.upper)}`] : []),
      ].join(' ');
    }
    default:
      return operands.token(member);
  }
}
