/** Map clusters: the block tape over strided operands. */

import type { Layout, Scalar, GroupView } from '@tensorwright/core';
import { isFloat } from '@tensorwright/core';
import { native } from '../native.js';
import { printTape } from '../tape.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { layoutsFor, refuseOperands } from './operands.js';

export const map: Tactic = {
  name: 'map',
  refuses(group: GroupView): string | undefined {
    if (group.anchor || group.parts.length > 0) return 'not a map group';
    if (!native().kernelNames().includes('map')) return "no kernel 'map'";
    const reason = refuseOperands(group);
    if (reason !== undefined) return reason;
    return unsupported(group.expressions());
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    return layoutsFor(group.outputs[0]!).map((layout: Layout) => ({
      parameters: {},
      inputs: group.node.inputs.map(() => 'strided'),
      outputs: group.outputs.map(() => layout),
      stridedOutput: group.outputs.length === 1,
      estimate: 1,
    }));
  },
  emit(group: GroupView) {
    const tape = printTape(group.expressions());
    return {
      kernel: 'map',
      attributes: { tape: [...tape.instructions], results: [...tape.results] },
      inputs: tape.operands.map((index) => ({ kind: 'input', index, broadcast: true })),
      outputs: group.outputs.map((_, index) => ({ kind: 'output', index })),
    };
  },
};

/** The tape computes in four domains; what needs a fifth is refused. */
function unsupported(expressions: readonly Scalar[]): string | undefined {
  const seen = new Set<Scalar>();
  const stack = [...expressions];
  while (stack.length > 0) {
    const e = stack.pop()!;
    if (seen.has(e)) continue;
    seen.add(e);
    if (e.op === 'arg' || e.op === 'const') continue;
    if ((e.op === 'shl' || e.op === 'shr') && isFloat(e.dtype)) return 'shifts take integers';
    stack.push(...e.args);
  }
  return undefined;
}
