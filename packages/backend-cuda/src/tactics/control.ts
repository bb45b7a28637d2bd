/** If, Loop and Scan: the executor runs their bodies on the device; only conditions and trip counts come to the host. */

import type { EmittedStep, GroupView, PlanAttribute } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { refuseOperands } from './operands.js';

/** How many of the first inputs the host reads. */
const hostInputs: Readonly<Record<string, number>> = { if: 1, loop: 2, scan: 0 };

export const control: Tactic = {
  name: 'control',
  refuses(group: GroupView): string | undefined {
    const { op } = group.node;
    if (hostInputs[op] === undefined) return 'no control flow';
    return refuseOperands(group) ?? (op === 'scan' ? refuseAxes(group) : undefined);
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    return [
      {
        parameters: {},
        inputs: group.node.inputs.map(() => 'rows'),
        outputs: group.outputs.map(() => 'rows'),
        stridedOutput: false,
        estimate: 1,
      },
    ];
  },
  emit(group: GroupView): Promise<EmittedStep> {
    const { op, attributes, inputs } = group.node;
    return Promise.resolve({
      kernel: op,
      attributes: Object.fromEntries(
        Object.entries(attributes).filter((entry): entry is [string, PlanAttribute] => entry[1] !== undefined),
      ),
      inputs: inputs.map((v, index) =>
        v ? { kind: 'input', index, ...(index < hostInputs[op]! && { onHost: true }) } : { kind: 'omitted' },
      ),
      outputs: group.outputs.map((_, index) => ({ kind: 'output', index })),
    });
  },
};

/** Elements of a scan are pieces of memory where it runs along the first axis. */
function refuseAxes(group: GroupView): string | undefined {
  const { attributes } = group.node;
  const axes = ['scanInputAxes', 'scanOutputAxes'].flatMap((name) => (attributes[name] as readonly number[]) ?? []);
  return axes.every((a) => a === 0) ? undefined : 'a scan along another axis than the first';
}
