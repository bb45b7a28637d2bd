/** Rotary embedding: pairs of a head's elements turned by their position's angles. */

import {
  ceilDivDims,
  type Dim,
  type EmitContext,
  type EmittedStep,
  floorDivDims,
  type GroupView,
  mulDims,
  provablyDivisible,
  subDims,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import type { Tactic } from '../tactic.js';
import { inputOperand, outputOperand, printLoads, printProblem } from './lane-problem.js';
import { laneSpace, type LaneOperand, printStore } from './lanes.js';
import { dtypeOf, refuseOperands, stridedCandidates } from './operands.js';

const block = 256;

export const rotary: Tactic = {
  name: 'rotary',
  refuses(group: GroupView): string | undefined {
    if (group.anchor?.op !== 'rotaryEmbedding') return 'no rotary embedding';
    if (!group.expressions().every((e) => e.op === 'arg')) return 'only the operator itself';
    if (dtypeOf(group.outputs[0]) === 'float64') return 'rotary embedding computes in float32';
    return refuseOperands(group);
  },
  candidates: (group: GroupView) => stridedCandidates(group, ['rows']),
  emit(group: GroupView, _candidate, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const [xView, cosView, sinView] = [0, 1, 2].map((i) => context.view(group.anchorInputs[i]!)!);
    const y = context.outputView(0)!;
    const { dims } = xView!;
    const half = cosView!.dims[2]!;
    const interleaved = group.anchor!.attributes['interleaved'] === true;
    const angle = (input: number, name: string): LaneOperand => {
      const view = input === 1 ? cosView! : sinView!;
      const [batch, position, pair] = view.strides;
      // One batch of angles serves all.
      const strides = [view.dims[0] === 1 ? 0 : batch!, 0, position!, pair!];
      return inputOperand(group, group.anchorInputs[input]!, args, name, view, strides);
    };
    const x = inputOperand(group, group.anchorInputs[0]!, args, 'x', xView!, xView!.strides);
    const out = outputOperand(group, 0, args, 'y', y, y.strides);
    const angles = [angle(1, 'cos'), angle(2, 'sin')];
    const operands = [x, out, ...angles];
    const whole = laneSpace(dims, (axis) => axis === 3, x, operands, 'columns');
    let width = interleaved ? 1 : whole.width;
    while (
      width > 1 &&
      !(provablyDivisible(half, width) && provablyDivisible(subDims(dims[3]!, mulDims(half, 2)), width))
    )
      width /= 2;
    const space = { ...whole, width };
    const units: Dim = interleaved ? subDims(dims[3]!, half) : floorDivDims(subDims(dims[3]!, half), width);
    const problem = printProblem(space, args, operands, [
      `  using X = ${x.type};\n`,
      `  TW_DEVICE Index half() const { return ${args.dim(half)}; }\n`,
      ...printLoads(space, [x, ...angles]),
      '  TW_DEVICE void y_store(Index row, Index column, const Vec<f32, V>& values) const {\n',
      printStore(space, out, '', 'values[v]'),
      '  }\n',
    ]);
    return launchStep({
      uses: ['rotary'],
      text: `${problem}
extern "C" __global__ void __launch_bounds__(${String(block)}) rotary(const __grid_constant__ Arguments a) {
  rotary_${interleaved ? 'interleaved' : 'halves'}<${String(block)}>(Problem{a});
}
`,
      arguments: args,
      launches: [
        { function: 'rotary', grid: [ceilDivDims(mulDims(space.rows, units), block), 1, 1], block: [block, 1, 1] },
      ],
    });
  },
};
