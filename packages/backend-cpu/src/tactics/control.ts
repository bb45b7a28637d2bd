/** If, Loop and Scan: the native executor runs their bodies as nested programs. */

import type { GroupView } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { planAttribute } from './generic.js';
import { refuseOperands } from './operands.js';

const controls = new Set(['if', 'loop', 'scan']);

export const control: Tactic = {
  name: 'control',
  refuses(group: GroupView): string | undefined {
    if (!controls.has(group.node.op)) return 'no control flow';
    return refuseOperands(group);
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
  emit(group: GroupView) {
    const attributes = Object.fromEntries(
      Object.entries(group.node.attributes).flatMap(([name, value]) => {
        const plain = value === undefined ? undefined : planAttribute(value);
        return plain === undefined ? [] : [[name, plain]];
      }),
    );
    return {
      kernel: group.node.op,
      attributes,
      inputs: group.node.inputs.map((v, index) => (v ? { kind: 'input', index } : { kind: 'omitted' })),
      outputs: group.outputs.map((_, index) => ({ kind: 'output', index })),
    };
  },
};
