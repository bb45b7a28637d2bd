/** Map clusters: one generated kernel, a vector of elements to a thread, operands through any strides. */

import {
  ceilDivDims,
  type DType,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type Layout,
  type MemoryView,
  type Scalar,
  type TensorType,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import {
  type Axis,
  broadcastView,
  elementsOf,
  mergeAxes,
  printCoordinates,
  printOffset,
  vectorWidth,
} from '../print/loop-space.js';
import { printScalars, refuseScalars } from '../print/scalars.js';
import { cxxType } from '../print/types.js';
import { indexType } from '../print/views.js';
import type { Tactic } from '../tactic.js';
import { dtypeOf, refuseOperands, sameExtents, stridedCandidates } from './operands.js';

const threads = 256;

export const map: Tactic = {
  name: 'map',
  refuses(group: GroupView): string | undefined {
    if (group.anchor || group.parts.length > 0) return 'not a map group';
    const reason = refuseOperands(group);
    if (reason !== undefined) return reason;
    const [first, ...others] = group.outputs.map((v) => (v.type as TensorType).dims!);
    if (!others.every((dims) => sameExtents(dims, first!))) return 'the outputs have different shapes';
    return refuseScalars(group.expressions());
  },
  candidates: (group: GroupView) => stridedCandidates(group),
  emit(group: GroupView, candidate, context: EmitContext): Promise<EmittedStep> {
    const expressions = group.expressions();
    const outputs = group.outputs.map((v, i) => ({
      dtype: (v.type as TensorType).dtype,
      view: context.outputView(i)!,
    }));
    const { dims } = outputs[0]!.view;
    const inputs = argsOf(expressions).map((index) => ({
      index,
      dtype: dtypeOf(group.node.inputs[index])!,
      view: broadcastView(context.view(index)!, dims),
    }));
    return emitElementwise(inputs, outputs, candidate.outputs[0] ?? 'rows', (args, width, axes) =>
      printBody(expressions, inputs, outputs, args, width, axes),
    );
  },
};

export interface Operand {
  /** Of the group's inputs. */
  readonly index: number;
  readonly dtype: DType;
  readonly view: MemoryView;
  /** C++ text of where the elements at hand lie. Default: where the view says. */
  readonly pointer?: string;
}

type Body = (args: Arguments, width: number, axes: readonly Axis[]) => string;

/** A kernel that computes a vector of each output from the same elements of the inputs. */
export function emitElementwise(
  inputs: readonly Operand[],
  outputs: readonly Omit<Operand, 'index'>[],
  layout: Layout,
  body: Body,
): Promise<EmittedStep> {
  const views = [...outputs, ...inputs].map((o) => o.view);
  const axes = mergeAxes(views, layout);
  const width = vectorWidth(
    axes,
    views,
    [...outputs, ...inputs].map((o) => o.dtype),
  );
  const args = new Arguments();
  const type = indexType(...views);
  const vectors = ceilDivDims(elementsOf(axes), width);
  const text = `
extern "C" __global__ void __launch_bounds__(${String(threads)}) map(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const ${type} i = ${type}(blockIdx.x) * ${String(threads)} + threadIdx.x;
  if (i >= ${args.dim(vectors)}) return;
  ${printCoordinates(axes, width, type, args)}
${body(args, width, axes)}
}
`;
  return launchStep({
    text,
    arguments: args,
    launches: [{ function: 'map', grid: [ceilDivDims(vectors, threads), 1, 1], block: [threads, 1, 1] }],
    outputs: outputs.length,
  });
}

/** Loads of a vector of each input, the expressions over them, and stores; operands of `axes`: outputs, then inputs. */
export function printBody(
  expressions: readonly Scalar[],
  inputs: readonly Operand[],
  outputs: readonly Omit<Operand, 'index'>[],
  args: Arguments,
  width: number,
  axes: readonly Axis[],
): string {
  const w = String(width);
  const inner = axes.at(-1)!;
  const loads = inputs.map(({ index, dtype, ...operand }, k) => {
    const pointer =
      operand.pointer ?? `${args.input(index, cxxType(dtype))} + ${printOffset(axes, outputs.length + k, args)}`;
    return inner.strides[outputs.length + k] === 0
      ? `  const ${cxxType(dtype)} x${String(index)} = *(${pointer});`
      : `  const auto x${String(index)} = load_vec<${w}>(${pointer});`;
  });
  const broadcast = new Set(inputs.filter((_, k) => inner.strides[outputs.length + k] === 0).map((o) => o.index));
  const scalars = printScalars(expressions, (arg) => (broadcast.has(arg) ? `x${String(arg)}` : `x${String(arg)}.v[k]`));
  const stores = outputs.map(({ dtype }, k) => ({
    declare: `  Vec<${cxxType(dtype)}, ${w}> y${String(k)};`,
    compute: `    y${String(k)}.v[k] = convert<${cxxType(dtype)}>(${scalars.results[k]!});`,
    store: `  store_vec(${args.output(k, cxxType(dtype))} + ${printOffset(axes, k, args)}, y${String(k)});`,
  }));
  return [
    ...loads,
    ...stores.map((s) => s.declare),
    '#pragma unroll',
    `  for (int k = 0; k < ${w}; ++k) {`,
    ...scalars.statements.split('\n').map((line) => `    ${line}`),
    ...stores.map((s) => s.compute),
    '  }',
    ...stores.map((s) => s.store),
  ].join('\n');
}

/** Operands that expressions read. */
export function argsOf(expressions: readonly Scalar[]): number[] {
  const found = new Set<number>();
  const seen = new Set<Scalar>();
  const visit = (e: Scalar): void => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.op === 'arg') found.add(e.index);
    else if (e.op !== 'const') e.args.forEach(visit);
  };
  expressions.forEach(visit);
  return [...found];
}
