/** Reductions with the map nodes that follow them as epilogue. */

import { type Layout, type PlanAttribute, anchorArg, type GroupView } from '@tensorwright/core';
import { native } from '../native.js';
import { printTape } from '../tape.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { planAttribute } from './generic.js';
import { layoutsFor, refuseOperands } from './operands.js';

export const reduce: Tactic = {
  name: 'reduce',
  refuses(group: GroupView): string | undefined {
    if (group.anchor?.op !== 'reduce') return 'no reduction';
    if (group.outputs.length !== 1 || group.anchorInputs[0] === -1)
      return 'a reduction has one result and reads an operand';
    return refuseOperands(group) ?? (native().kernelNames().includes('reduce') ? undefined : "no kernel 'reduce'");
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const layouts: readonly Layout[] = layoutsFor(group.outputs[0]!);
    return layouts.map((layout) => ({
      parameters: {},
      inputs: group.node.inputs.map(() => 'strided'),
      outputs: [layout],
      stridedOutput: false,
      estimate: 1,
    }));
  },
  emit(group: GroupView) {
    const attributes: Record<string, PlanAttribute> = {};
    for (const [name, value] of Object.entries(group.anchor!.attributes)) {
      const plain = value === undefined ? undefined : planAttribute(value);
      if (plain !== undefined) attributes[name] = plain;
    }
    const [expression] = group.expressions();
    const tape = expression!.op === 'arg' ? undefined : printTape([expression!], [anchorArg(group)]);
    if (tape) {
      attributes['epilogue'] = [...tape.instructions];
      attributes['epilogueResult'] = tape.results[0]!;
    }
    return {
      kernel: 'reduce',
      attributes,
      inputs: [
        { kind: 'input', index: group.anchorInputs[0]! },
        ...(tape?.operands.slice(1) ?? []).map((index) => ({ kind: 'input', index, broadcast: true }) as const),
      ],
      outputs: [{ kind: 'output', index: 0 }],
    };
  },
};
