/** Softmax and its logarithm along any axis. */

import {
  ceilDivDims,
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type TensorType,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import { refuseScalars } from '../print/scalars.js';
import type { Tactic } from '../tactic.js';
import { inputOperand, outputOperand, printEpilogue, printLoads, printProblem } from './lane-problem.js';
import { outerShape, registerShape } from './lane-shape.js';
import { laneSpace, type LaneSpace, printLoad, printStore } from './lanes.js';
import { refuseOperands, stridedCandidates } from './operands.js';

export const softmax: Tactic = {
  name: 'softmax',
  refuses(group: GroupView): string | undefined {
    if (group.anchor?.op !== 'softmax' && group.anchor?.op !== 'logSoftmax') return 'no softmax';
    if (group.outputs.length !== 1 || group.anchorInputs[0] === -1)
      return 'a softmax has one result and reads an operand';
    return refuseOperands(group) ?? refuseScalars(group.expressions());
  },
  candidates: (group: GroupView) => stridedCandidates(group),
  emit(group: GroupView, _candidate, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const { op, attributes } = group.anchor!;
    const x = context.view(group.anchorInputs[0]!)!;
    const y = context.outputView(0)!;
    const rank = x.dims.length;
    const axis = ((attributes['axis'] as number) + rank) % rank;
    const same = (strides: readonly Dim[]): readonly Dim[] => strides;
    const main = inputOperand(group, group.anchorInputs[0]!, args, 'x', x, x.strides);
    const out = outputOperand(group, 0, args, 'y', y, y.strides);
    const epilogue = printEpilogue(group, context, args, same, 'values[v]', (o) => `${o.name}[v]`);
    const operands = [main, out, ...epilogue.operands];
    const space = laneSpace(x.dims, (a) => a === axis, main, operands);
    const shape = shapeOf(space, op === 'logSoftmax', (group.outputs[0]!.type as TensorType).dtype === 'float64');
    const problem = printProblem(space, args, operands, [
      `  using X = ${main.type};\n  using C = ${main.type === 'f64' ? 'f64' : 'f32'};\n`,
      printLoad(space, main, 'load'),
      ...printLoads(space, epilogue.operands),
      '  TW_DEVICE void store(Index row, Index column, const Vec<C, V>& values) const {\n',
      ...epilogue.operands.map((o) => `    const auto ${o.name} = ${o.name}_load(row, column);\n`),
      printStore(space, out, epilogue.statements, epilogue.result),
      '  }\n',
    ]);
    return launchStep({
      uses: ['reduce', 'softmax'],
      text: `${problem}
extern "C" __global__ void __launch_bounds__(${String(shape.block)}) softmax(const __grid_constant__ Arguments a) {
  ${shape.call}(Problem{a});
}
`,
      arguments: args,
      launches: [
        { function: 'softmax', grid: [ceilDivDims(space.rows, shape.rowsOfBlock), 1, 1], block: [shape.block, 1, 1] },
      ],
    });
  },
};

interface Shape {
  readonly call: string;
  readonly block: number;
  readonly rowsOfBlock: number;
}

function shapeOf(space: LaneSpace, logarithm: boolean, double: boolean): Shape {
  const log = String(logarithm);
  if (space.along === 'rows') {
    const { tx, ty, rowsOfBlock } = outerShape(space, double ? 16 : 8);
    return { call: `softmax_outer<${log}, ${String(tx)}, ${String(ty)}>`, block: tx * ty, rowsOfBlock };
  }
  const held = registerShape(space, double ? 16 : 32);
  if (!held) return { call: `softmax_twice<${log}, 1024>`, block: 1024, rowsOfBlock: 1 };
  const { block, threads, vectors } = held;
  return {
    call: `softmax_registers<${[log, block, threads, vectors].join(', ')}>`,
    block,
    rowsOfBlock: block / threads,
  };
}
