/** Movement: the plan reads through views where strides can say it, and copies operands of concats; pad has a kernel. */

import {
  type Dim,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type Layout,
  provablyEqual,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { cxxType } from '../print/types.js';
import { index } from '../print/views.js';
import { launchStep } from '../launch/launch-step.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { padSource } from './pad-source.js';
import { bytesOf, dtypeOf, layoutsFor, memoryMicroseconds, refuseOperands } from './operands.js';

const views = new Set(['reshape', 'transpose', 'expand', 'slice']);
const threads = 256;

export const movement: Tactic = {
  name: 'movement',
  refuses(group: GroupView): string | undefined {
    const op = group.anchor?.op;
    if (op === undefined || !(views.has(op) || op === 'concat' || op === 'pad')) return 'no movement';
    if (group.node.op === 'group' && !group.expressions().every((e) => e.op === 'arg'))
      return 'only the movement itself';
    return refuseOperands(group);
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const op = group.anchor!.op;
    const layouts: readonly Layout[] = op === 'concat' || op === 'pad' ? layoutsFor(group.outputs[0]!) : ['rows'];
    return layouts.map((layout) => ({
      parameters: {},
      inputs: group.node.inputs.map(() => 'strided'),
      outputs: [layout],
      stridedOutput: op === 'concat',
      estimate: op === 'pad' ? memoryMicroseconds(bytesOf(group)) : 0,
    }));
  },
  /** Only pad becomes a step by itself: the lowering expresses the others by views and copies. */
  emit(group: GroupView, _candidate, context: EmitContext): Promise<EmittedStep> {
    const { attributes } = group.anchor!;
    const low = attributes['low'] as readonly Dim[];
    const from = context.view(group.anchorInputs[0]!)!;
    const to = context.outputView(0)!;
    const args = new Arguments();
    const type = cxxType(dtypeOf(group.outputs[0])!);
    const mode = attributes['mode'] as string;
    const rank = to.dims.length;
    const value = group.anchorInputs[1];
    const lines: string[] = [];
    for (let k = rank - 1; k >= 0; k--) {
      const c = `c${String(k)}`;
      lines.push(`const i64 ${c} = i % ${args.dim(to.dims[k]!)};`, `i /= ${args.dim(to.dims[k]!)};`);
      const untouched = low[k] === 0 && provablyEqual(from.dims[k]!, to.dims[k]!);
      // Of an axis that may be empty, nothing is repeated.
      const mayLack = !untouched && mode !== 'constant' && dimBounds(from.dims[k]!).min === 0;
      const guard = mayLack ? `${args.dim(from.dims[k]!)} == 0 ? -1 : ` : '';
      lines.push(
        untouched
          ? `const i64 s${String(k)} = ${c};`
          : `const i64 s${String(k)} = ${guard}pad_source(${c} - ${args.dim(low[k]!)}, i64(${args.dim(from.dims[k]!)}));`,
      );
      if (!untouched && (mode === 'constant' || mayLack))
        lines.push(`inside = inside && s${String(k)} >= 0 && s${String(k)} < ${args.dim(from.dims[k]!)};`);
    }
    const all = (letter: string): string[] => from.dims.map((_, k) => `${letter}${String(k)}`);
    const count = to.dims.map((d) => `i64(${args.dim(d)})`).join(' * ') || '1';
    const fill = value === undefined ? `convert<${type}>(0)` : `*${args.input(value, type)}`;
    const text = `
${padSource(mode)}
extern "C" __global__ void __launch_bounds__(${String(threads)}) pad(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const i64 count = ${count};
  for (i64 at = i64(blockIdx.x) * ${String(threads)} + threadIdx.x; at < count; at += i64(gridDim.x) * ${String(threads)}) {
    i64 i = at;
    bool inside = true;
    ${lines.join('\n    ')}
    ${args.output(0, type)}[${index(to, all('c'), args)}] = inside ? ${args.input(group.anchorInputs[0]!, type)}[${index(from, all('s'), args)}] : ${fill};
  }
}
`;
    return launchStep({
      text,
      arguments: args,
      launches: [{ function: 'pad', grid: [padBlocks, 1, 1], block: [threads, 1, 1] }],
    });
  },
};

/** Enough to fill any device several times over; the kernel walks in strides of the grid. */
const padBlocks = 2048;
