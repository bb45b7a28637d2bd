/** Kernels of one thread for every element of a space: their frame, and the operands as the body's text names them. */

import {
  ceilDivDims,
  type Dim,
  type DType,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type Layout,
  type MemoryView,
  productOf,
} from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { cxxType } from '../../print/types.js';
import { index, indexType } from '../../print/views.js';
import { dtypeOf } from '../operands.js';

export const threads = 256;

export type IndexType = 'i32' | 'i64';

export interface ElementKernel {
  readonly name: string;
  /** Threads with work. */
  readonly count: Dim;
  /** Type of the linear index `i` and of all coordinates. */
  readonly number: IndexType;
  /** What a thread does, given `i`. */
  readonly body: string;
}

export function elementKernel(
  kernel: ElementKernel,
  args: Arguments,
): { readonly text: string; readonly launch: Launch } {
  const { name, count, number, body } = kernel;
  const text = `
extern "C" __global__ void __launch_bounds__(${String(threads)}) ${name}(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const ${number} i = ${number}(blockIdx.x) * ${String(threads)} + threadIdx.x;
  if (i >= ${args.dim(count)}) return;
${body.trimEnd()}
}
`;
  return { text, launch: { function: name, grid: [ceilDivDims(count, threads), 1, 1], block: [threads, 1, 1] } };
}

/** Statements that turn `linear` into coordinates c0, c1 … of the logical axes, walked as the layout lies. */
export function coordinates(
  dims: readonly Dim[],
  layout: Layout,
  number: IndexType,
  args: Arguments,
  { letter = 'c', linear = 'i' }: { readonly letter?: string; readonly linear?: string } = {},
): string {
  const axes = dims.map((_, k) => k);
  const order = layout === 'channelsLast' && dims.length >= 3 ? [0, ...axes.slice(2), 1] : axes;
  const lines: string[] = [];
  let rest = linear;
  const long = order.filter((k) => dims[k] !== 1);
  for (const k of order)
    if (dims[k] === 1) lines.push(`  [[maybe_unused]] constexpr ${number} ${letter}${String(k)} = 0;`);
  for (const k of long.slice(1).reverse()) {
    const [c, q, extent] = [`${letter}${String(k)}`, `${letter}rest${String(k)}`, args.dim(dims[k]!)];
    lines.push(`  const ${number} ${q} = ${rest} / ${extent}, ${c} = ${rest} - ${q} * ${extent};`);
    rest = q;
  }
  if (long.length > 0) lines.push(`  const ${number} ${letter}${String(long[0]!)} = ${rest};`);
  return lines.join('\n');
}

export function names(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, k) => `${letter}${String(k)}`);
}

/** An operand of the anchor, and its elements as C++ text. */
export interface TextOperand {
  readonly dtype: DType;
  /** 'f16' … */
  readonly type: string;
  readonly view: MemoryView;
  readonly pointer: string;
  /** The element at coordinates: `a.in0[c0 * 12 + c1]`. */
  at(coordinates: readonly string[]): string;
}

/** The anchor's operands by position. */
export class AnchorOperands {
  readonly #group: GroupView;
  readonly #context: EmitContext;
  readonly #args: Arguments;

  constructor(group: GroupView, context: EmitContext, args: Arguments) {
    this.#group = group;
    this.#context = context;
    this.#args = args;
  }

  has(position: number): boolean {
    return this.#group.anchorInputs[position] !== undefined;
  }

  input(position: number): TextOperand {
    const at = this.#group.anchorInputs[position]!;
    const dtype = dtypeOf(this.#group.node.inputs[at])!;
    return this.#operand(dtype, this.#context.view(at)!, this.#args.input(at, cxxType(dtype)));
  }

  output(position = 0): TextOperand {
    const dtype = dtypeOf(this.#group.outputs[position])!;
    return this.#operand(dtype, this.#context.outputView(position)!, this.#args.output(position, cxxType(dtype)));
  }

  #operand(dtype: DType, view: MemoryView, pointer: string): TextOperand {
    const args = this.#args;
    return { dtype, type: cxxType(dtype), view, pointer, at: (c) => `${pointer}[${index(view, c, args)}]` };
  }
}

/** A step of one kernel over the elements of the first output, whose coordinates are c0, c1 … */
export function emitOverOutput(
  name: string,
  args: Arguments,
  output: TextOperand,
  inputs: readonly TextOperand[],
  layout: Layout,
  body: (number: IndexType) => string,
  more: { readonly uses?: readonly string[]; readonly holes?: string; readonly outputs?: number } = {},
): Promise<EmittedStep> {
  const number = indexType(output.view, ...inputs.map((o) => o.view));
  const { dims } = output.view;
  const kernel = elementKernel(
    { name, count: productOf(dims), number, body: `${coordinates(dims, layout, number, args)}\n${body(number)}` },
    args,
  );
  return launchStep({ ...more, text: kernel.text, arguments: args, launches: [kernel.launch] });
}
