/** Running sums and products along one axis. */

import {
  ceilDivDims,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  inferFacts,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import type { Tactic } from '../tactic.js';
import { inputOperand, outputOperand, printProblem } from './lane-problem.js';
import { clamp, enoughBlocks, powerOfTwo } from './lane-shape.js';
import { laneSpace, type LaneSpace, printLoad, printStore } from './lanes.js';
import { dtypeOf, refuseOperands, stridedCandidates, typicalExtent } from './operands.js';

const monoids: Readonly<Record<string, string>> = { cumSum: 'Sum', cumProd: 'Product' };

export const cumulative: Tactic = {
  name: 'cumulative',
  refuses(group: GroupView): string | undefined {
    const { anchor } = group;
    if (!anchor || monoids[anchor.op] === undefined) return 'no running total';
    if (!group.expressions().every((e) => e.op === 'arg')) return 'only the operator itself';
    return refuseOperands(group) ?? (axisOf(group) === undefined ? 'the axis is only known at run time' : undefined);
  },
  candidates: (group: GroupView) => stridedCandidates(group),
  emit(group: GroupView, _candidate, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const { op, attributes } = group.anchor!;
    const x = context.view(group.anchorInputs[0]!)!;
    const y = context.outputView(0)!;
    const axis = axisOf(group)!;
    const main = inputOperand(group, group.anchorInputs[0]!, args, 'x', x, x.strides);
    const out = outputOperand(group, 0, args, 'y', y, y.strides);
    const space = laneSpace(x.dims, (a) => a === axis, main, [main, out]);
    const shape = shapeOf(space);
    const flags = [attributes['exclusive'] === true, attributes['reverse'] === true].map(String);
    const problem = printProblem(
      space,
      args,
      [main, out],
      [
        `  using X = ${main.type};\n  using C = ${accumulatorOf(group)};\n`,
        printLoad(space, main, 'load'),
        '  TW_DEVICE void store(Index row, Index column, const Vec<C, V>& values) const {\n',
        printStore(space, out, '', 'values[v]'),
        '  }\n',
      ],
    );
    return launchStep({
      uses: ['cumulative'],
      text: `${problem}
extern "C" __global__ void __launch_bounds__(${String(shape.block)}) cumulative(const __grid_constant__ Arguments a) {
  ${shape.function}<${[monoids[op]!, ...flags, ...shape.parameters].join(', ')}>(Problem{a});
}
`,
      arguments: args,
      launches: [
        {
          function: 'cumulative',
          grid: [ceilDivDims(space.rows, shape.rowsOfBlock), 1, 1],
          block: [shape.block, 1, 1],
        },
      ],
    });
  },
};

/** The axis, counted from the front; undefined where only the run knows it. */
function axisOf(group: GroupView): number | undefined {
  const { inputs, attributes, outputs } = group.anchor!;
  const type = outputs[0]!.type;
  const rank = type.kind === 'tensor' ? (type.dims?.length ?? 0) : 0;
  const given = inputs[1] ? inferFacts(inputs[1])?.[0] : attributes['axis'];
  if (typeof given !== 'number') return undefined;
  const axis = given < 0 ? given + rank : given;
  return axis >= 0 && axis < rank ? axis : undefined;
}

function accumulatorOf(group: GroupView): string {
  const { class: kind, bits } = dtypeInfo(dtypeOf(group.outputs[0])!);
  if (kind === 'float') return bits === 64 ? 'f64' : 'f32';
  return bits === 64 ? 'u64' : 'u32';
}

interface Shape {
  readonly function: string;
  readonly parameters: readonly number[];
  readonly block: number;
  readonly rowsOfBlock: number;
}

function shapeOf(space: LaneSpace): Shape {
  const rows = Math.max(1, typicalExtent(space.rows));
  if (space.along === 'rows') {
    const block = clamp(powerOfTwo(rows / space.width / enoughBlocks), 32, 256);
    return { function: 'cumulative_outer', parameters: [block], block, rowsOfBlock: block * space.width };
  }
  const packs = Math.ceil(typicalExtent(space.columns) / space.width);
  if (packs > 64) {
    const block = clamp(powerOfTwo(packs), 128, 512);
    return { function: 'cumulative_inner', parameters: [block, block], block, rowsOfBlock: 1 };
  }
  const threads = clamp(powerOfTwo(packs), 1, 32);
  return { function: 'cumulative_inner', parameters: [128, threads], block: 128, rowsOfBlock: 128 / threads };
}
