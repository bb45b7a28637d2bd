/** Where along an axis the extreme element is. */

import { dtypeInfo, type EmitContext, type EmittedStep, type GroupView } from '@tensorwright/core';
import { refuseScalars } from '../print/scalars.js';
import { cxxType } from '../print/types.js';
import type { Tactic } from '../tactic.js';
import { emitReduction } from './lane-reduction.js';
import { dtypeOf, refuseOperands } from './operands.js';
import { reductionCandidates } from './reduce.js';

export const argReduce: Tactic = {
  name: 'argReduce',
  refuses(group: GroupView): string | undefined {
    if (group.anchor?.op !== 'argMax' && group.anchor?.op !== 'argMin') return 'no search for an extreme';
    if (group.outputs.length !== 1 || group.anchorInputs[0] === -1)
      return 'a search has one result and reads an operand';
    return refuseOperands(group) ?? refuseScalars(group.expressions());
  },
  candidates: reductionCandidates,
  emit(group: GroupView, _candidate, context: EmitContext): Promise<EmittedStep> {
    const { attributes, inputs, op } = group.anchor!;
    const dtype = dtypeOf(inputs[0])!;
    const compared =
      dtypeInfo(dtype).class === 'bool' ? 'u8' : dtype === 'float16' || dtype === 'bfloat16' ? 'f32' : cxxType(dtype);
    const flags = [op === 'argMax', attributes['selectLastIndex'] === true].map(String);
    return emitReduction(group, context, {
      axes: [attributes['axis'] as number],
      keepdims: attributes['keepdims'] === true,
      operation: `ExtremeOperation<${[cxxType(dtype), compared, ...flags].join(', ')}>`,
      accumulatorBytes: 16,
      value: 'static_cast<i64>(acc.column)',
      uses: ['reduce', 'arg_reduce'],
    });
  },
};
