/** Attention on Hopper's warpgroup instructions, its operands loaded through tensor maps. */

import {
  type Candidate,
  ceilDivDims,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  type TensorType,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import { isMapExtent } from '../launch/tensor-map.js';
import { cxxType } from '../print/types.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { attentionProblem } from './attention-problem.js';
import { attention, attentionDims, attentionExtents, attentionLayouts, isPacked } from './attention.js';
import { isMappable, type MappedOperand, printMapped } from './attention-hopper-map.js';
import type { AttentionExtents } from './attention-shape.js';
import { isHopper } from './contraction/machine.js';
import { hopperBlock, type HopperShape, hopperShapes } from './attention-hopper-shape.js';
import { dtypeOf } from './operands.js';

/** Fewer would leave most of a warpgroup's 64 rows idle. */
const fewestQueries = 33;

export const attentionHopper: Tactic = {
  name: 'attentionHopper',
  refuses(group: GroupView): string | undefined {
    if (!isHopper()) return 'not a device with warpgroup instructions';
    const reason = attention.refuses(group);
    if (reason !== undefined) return reason;
    if (dtypeOf(group.outputs[0]) === 'float32') return 'not of 16 bits';
    const operands = group.anchor!.inputs.slice(0, 3).map((v) => (v!.type as TensorType).dims!);
    if (isPacked(group) || dimBounds(operands[0]![2]!).max < fewestQueries) return 'not enough queries';
    // A map has no empty axes, and lines of whole 16 bytes.
    const mapped = operands.every((dims) => (dims[3] as number) % 8 === 0 && dims.every(isMapExtent));
    return mapped ? undefined : 'not as tensor maps describe it';
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const extents = attentionExtents(group);
    return hopperShapes(extents, scoreRegisters(group, extents)).flatMap(({ shape, microseconds }) =>
      attentionLayouts(group).map((layout) => ({
        parameters: { ...shape },
        inputs: group.node.inputs.map(() => 'strided' as const),
        outputs: [layout],
        stridedOutput: true,
        estimate: microseconds,
      })),
    );
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const views = [0, 1, 2].map((i) => context.view(group.anchorInputs[i]!)!) as [MemoryView, MemoryView, MemoryView];
    if (views.every(isMappable)) return emitMapped(group, candidate.parameters as HopperShape, views, context);
    // The operands lie other than expected: at an offset, say.
    const [other] = attention.candidates(group);
    return attention.emit(group, { ...candidate, ...other }, context);
  },
};

function emitMapped(
  group: GroupView,
  shape: HopperShape,
  [queries, keys, values]: readonly [MemoryView, MemoryView, MemoryView],
  context: EmitContext,
): Promise<EmittedStep> {
  const args = new Arguments();
  const extents = attentionExtents(group);
  const { batch, heads, rows } = attentionDims(group);
  const block = hopperBlock(shape, extents);
  const operands: readonly MappedOperand[] = [
    { name: 'Queries', input: group.anchorInputs[0]!, view: queries, rows: block.rows, size: extents.size },
    { name: 'Keys', input: group.anchorInputs[1]!, view: keys, rows: shape.keys, size: extents.size },
    { name: 'Values', input: group.anchorInputs[2]!, view: values, rows: shape.keys, size: extents.valueSize },
  ];
  const loaders = operands.map((o) => printMapped(o, args)).join('\n');
  const problem = attentionProblem(group, context, args, {
    packed: false,
    splits: 1,
    states: 'nullptr',
    values: 'nullptr',
  });
  const type = cxxType(dtypeOf(group.outputs[0])!);
  const list = [
    shape.groups,
    shape.keys,
    shape.stages,
    shape.ring === 1,
    shape.moves === 1,
    block.biasKeys,
    'Problem',
    ...operands.map((o) => o.name),
  ];
  return launchStep({
    uses: ['attention', 'attention_softmax', 'attention_wgmma'],
    holes: `TW_USE_WGMMA(${type}, ${String(shape.keys)})
TW_USE_WGMMA_TRANSPOSED(${type}, ${String(extents.valueSize)}, 0, 1)`,
    text: `${problem}
${loaders}
extern "C" __global__ void __launch_bounds__(${String(block.threads)}, ${String(shape.blocks)}) attention(const __grid_constant__ Arguments a) {
  attention_wgmma<${list.map(String).join(', ')}>(a);
}
`,
    arguments: args,
    launches: [
      {
        function: 'attention',
        grid: [ceilDivDims(rows, block.rows), heads, batch],
        block: [block.threads, 1, 1],
        sharedBytes: block.sharedBytes,
      },
    ],
  });
}

/** What loads of masks and the soft cap take, found by compiling. */
function scoreRegisters(group: GroupView, { commonMask }: AttentionExtents): number {
  if (group.anchor!.inputs[3]) return commonMask ? 8 : 56;
  return group.anchor!.attributes['softcap'] === 0 ? 0 : 16;
}
