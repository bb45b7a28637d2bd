/** Movement: the plan reads through views where strides can say it; concat and pad have kernels. */

import type { Dim, Layout, GroupView } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { layoutsFor, refuseOperands } from './operands.js';

const views = new Set(['reshape', 'transpose', 'expand', 'slice']);

export const movement: Tactic = {
  name: 'movement',
  refuses(group: GroupView): string | undefined {
    const op = group.anchor?.op;
    if (op === undefined || !(views.has(op) || op === 'concat' || op === 'pad')) return 'no movement';
    return refuseOperands(group);
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const layouts: readonly Layout[] = group.anchor!.op === 'concat' ? layoutsFor(group.outputs[0]!) : ['rows'];
    return layouts.map((layout) => ({
      parameters: {},
      inputs: group.node.inputs.map(() => (group.anchor!.op === 'pad' ? 'rows' : 'strided')),
      outputs: [layout],
      stridedOutput: group.anchor!.op === 'concat',
      estimate: 0,
    }));
  },
  /** Only pad becomes a step by itself: the lowering expresses the others by views and copies. */
  emit(group: GroupView) {
    const a = group.anchor!.attributes;
    const value = group.anchorInputs[1];
    return {
      kernel: 'pad',
      attributes: { mode: a['mode'] as string },
      inputs: [
        { kind: 'input', index: 0 },
        { kind: 'dims', values: a['low'] as readonly Dim[] },
        { kind: 'dims', values: a['high'] as readonly Dim[] },
        value === undefined ? { kind: 'omitted' } : { kind: 'input', index: value },
      ],
      outputs: [{ kind: 'output', index: 0 }],
    };
  },
};
