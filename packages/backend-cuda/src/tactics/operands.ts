/** What every kernel asks of its operands, and what moving them costs. */

import {
  type Dim,
  dimBounds,
  type DType,
  dtypeInfo,
  type GroupView,
  type Layout,
  layoutsFor,
  productOf,
  provablyEqual,
  type Value,
} from '@tensorwright/core';
import { storedType } from '../print/types.js';
import type { CandidateOutline } from '../tactic.js';

export { dtypeOf, layoutsFor } from '@tensorwright/core';

export const maxRank = 12;

export function refuseOperands(group: GroupView): string | undefined {
  for (const v of [...group.node.inputs, ...group.outputs]) {
    const reason = v && refuseValue(v);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

export function refuseValue(v: Value): string | undefined {
  if (v.type.kind !== 'tensor') return `a ${v.type.kind} is no value of the device`;
  if (storedType(v.type.dtype) === undefined) return `no kernels for ${v.type.dtype}`;
  if (!v.type.dims) return 'the rank is not known at build time';
  return v.type.dims.length > maxRank ? `rank ${String(v.type.dims.length)} exceeds ${String(maxRank)}` : undefined;
}

/** What products are computed of in 16 bits, or in float32. */
export const floats: ReadonlySet<DType> = new Set(['float16', 'bfloat16', 'float32']);

export function sameExtents(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((d, i) => provablyEqual(d, b[i]!));
}

/** Of kernels that read any strides and are bound by memory: one for each of these layouts of the outputs. */
export function stridedCandidates(
  group: GroupView,
  layouts: readonly Layout[] = layoutsFor(group.outputs[0]!),
): readonly CandidateOutline[] {
  return layouts.map((layout) => ({
    parameters: {},
    inputs: group.node.inputs.map(() => 'strided'),
    outputs: group.outputs.map(() => layout),
    stridedOutput: group.outputs.length === 1,
    estimate: memoryMicroseconds(bytesOf(group)),
  }));
}

/** An extent, or a product of some, for choosing how to launch and for estimates: exact where it is known. */
export function typicalExtent(d: Dim): number {
  const { min, max } = dimBounds(d);
  return Math.min(max, Math.max(min, 1) * 64);
}

/** Bytes of all operands. */
export function bytesOf(group: GroupView): number {
  return [...group.node.inputs, ...group.outputs].reduce((sum, v) => {
    if (v?.type.kind !== 'tensor' || !v.type.dims) return sum;
    return sum + (typicalExtent(productOf(v.type.dims)) * dtypeInfo(v.type.dtype).bits) / 8;
  }, 0);
}

/** A kernel in a graph costs this much whatever it does (measured on an H200, in microseconds). */
export const launchMicroseconds = 1.1;
/** Estimates that count clocks do so at this rate, whatever the device's. */
export const cyclesPerMicrosecond = 1700;
const bytesPerMicrosecond = 4e6;
/** Bytes of a tensor, each of which is read and written. */
export const reorderedPerMicrosecond: number = bytesPerMicrosecond / 2;

/** Estimate of a kernel that is bound by memory. */
export function memoryMicroseconds(bytes: number): number {
  return launchMicroseconds + bytes / bytesPerMicrosecond;
}
