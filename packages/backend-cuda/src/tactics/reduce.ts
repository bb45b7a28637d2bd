/** Reductions by a monoid over any axes, with the map nodes that follow them as epilogue. */

import { type DType, dtypeInfo, type EmitContext, type EmittedStep, type GroupView } from '@tensorwright/core';
import { refuseScalars } from '../print/scalars.js';
import { cxxType } from '../print/types.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { emitReduction } from './lane-reduction.js';
import { bytesOf, dtypeOf, layoutsFor, memoryMicroseconds, refuseOperands } from './operands.js';

const monoids: Readonly<Record<string, string>> = {
  sum: 'Sum',
  prod: 'Product',
  max: 'Max',
  min: 'Min',
  any: 'Any',
  all: 'All',
};

export const reduce: Tactic = {
  name: 'reduce',
  refuses(group: GroupView): string | undefined {
    if (group.anchor?.op !== 'reduce') return 'no reduction';
    if (group.outputs.length !== 1 || group.anchorInputs[0] === -1)
      return 'a reduction has one result and reads an operand';
    return refuseOperands(group) ?? refuseScalars(group.expressions());
  },
  candidates: reductionCandidates,
  emit(group: GroupView, _candidate, context: EmitContext): Promise<EmittedStep> {
    const { attributes, inputs } = group.anchor!;
    const monoid = attributes['monoid'] as string;
    const rank = context.view(group.anchorInputs[0]!)!.dims.length;
    const axes = (attributes['axes'] as readonly number[]).map((a) => (a < 0 ? a + rank : a));
    return emitReduction(group, context, {
      axes,
      keepdims: attributes['keepdims'] === true,
      ...printMonoid(dtypeOf(inputs[0])!, monoid),
      accumulatorBytes: 8,
      uses: ['reduce'],
    });
  },
};

/** C++ of how elements are combined, and of the result from `acc`. */
export function printMonoid(dtype: DType, monoid: string): { readonly operation: string; readonly value: string } {
  return {
    operation: `MonoidOperation<${cxxType(dtype)}, ${accumulatorOf(dtype, monoid)}, ${monoids[monoid]!}>`,
    // Floats keep the accumulator's precision; integers wrap to their width first.
    value: dtypeInfo(dtype).class === 'float' ? 'acc' : `convert<${cxxType(dtype)}>(acc)`,
  };
}

export function reductionCandidates(group: GroupView): readonly CandidateOutline[] {
  return layoutsFor(group.outputs[0]!).map((layout) => ({
    parameters: {},
    inputs: group.node.inputs.map(() => 'strided'),
    outputs: [layout],
    stridedOutput: true,
    estimate: memoryMicroseconds(bytesOf(group)),
  }));
}

function accumulatorOf(dtype: DType, monoid: string): string {
  const { class: kind, bits } = dtypeInfo(dtype);
  if (kind === 'float') return dtype === 'float64' ? 'f64' : 'f32';
  // Extremes of nothing are the dtype's own limits.
  if (monoid === 'max' || monoid === 'min') return cxxType(dtype);
  return bits === 64 ? cxxType(dtype) : 'u32';
}
