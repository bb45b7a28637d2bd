/** What attention multiplies with the values, or an earlier stage of it. */

import {
  type Dim,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type TensorType,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import type { Tactic } from '../tactic.js';
import { attentionProblem } from './attention-problem.js';
import { refuseAttention } from './attention.js';
import { refuseOperands, stridedCandidates } from './operands.js';

const block = 128;
const stages = ['raw', 'softcapped', 'masked', 'probabilities'];
const mostShared = 96 * 1024;

export const attentionScores: Tactic = {
  name: 'attentionScores',
  refuses(group: GroupView): string | undefined {
    if (group.anchor?.op !== 'attentionScores') return 'no scores of attention';
    if (!group.expressions().every((e) => e.op === 'arg')) return 'only the operator itself';
    return (
      refuseOperands(group) ??
      refuseAttention(group) ??
      (sharedBytes(group) > mostShared ? 'a row of probabilities does not fit a multiprocessor' : undefined)
    );
  },
  candidates: (group: GroupView) => stridedCandidates(group, ['rows']),
  emit(group: GroupView, _candidate, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const [batch, heads, queries] = dimsOf(group) as [Dim, Dim, Dim];
    const problem = attentionProblem(group, context, args, {
      packed: false,
      splits: 1,
      states: 'nullptr',
      values: 'nullptr',
    });
    const stage = stages.indexOf(group.anchor!.attributes['stage'] as string);
    return launchStep({
      uses: ['attention', 'attention_scores'],
      text: `${problem}
extern "C" __global__ void __launch_bounds__(${String(block)}) scores(const __grid_constant__ Arguments a) {
  attention_scores<${String(stage)}, ${String(block)}>(Problem{a});
}
`,
      arguments: args,
      launches: [
        { function: 'scores', grid: [queries, heads, batch], block: [block, 1, 1], sharedBytes: sharedBytes(group) },
      ],
    });
  },
};

function dimsOf(group: GroupView): readonly Dim[] {
  return (group.outputs[0]!.type as TensorType).dims!;
}

function sharedBytes(group: GroupView): number {
  return group.anchor!.attributes['stage'] === 'probabilities' ? 4 * dimBounds(dimsOf(group)[3]!).max : 0;
}
