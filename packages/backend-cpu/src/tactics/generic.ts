/** Operators with a native kernel of their own name: attributes and operands as they stand. */

import {
  type Access,
  type AttributeValue,
  inferFacts,
  type Layout,
  type PlanAttribute,
  type GroupView,
} from '@tensorwright/core';
import { native } from '../native.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { dtypeOf, refuseOperands } from './operands.js';

/** Kernels that read their first operands through any strides. */
const strided = new Set([
  'softmax',
  'logSoftmax',
  'layerNorm',
  'rmsNorm',
  'groupNorm',
  'instanceNorm',
  'argMax',
  'argMin',
  'cumSum',
  'cumProd',
  'gather',
  'gatherElements',
  'reduce',
  'attention',
]);
/** Kernels that run as well channels-last as row-major. */
const eitherLayout = new Set(['pool', 'resize', 'groupNorm', 'instanceNorm']);

/** Operands that the kernel takes as attributes: they must be known at build time. */
const operandAttributes: Readonly<Record<string, Readonly<Record<string, number>>>> = { col2im: { blockShape: 2 } };
const knownOperands: Readonly<Record<string, number>> = { col2im: 1 };
/** Operands that the result's extents are taken from at build time: the kernel does not read them. */
const sizeOperands: Readonly<Record<string, number>> = { col2im: 1 };

/** q, k, v, mask, key lengths. */
const attentionInputs = 5;

/** Element types a kernel lacks. */
const missing: Readonly<Record<string, readonly string[]>> = { range: ['float16', 'bfloat16'] };

export const generic: Tactic = {
  name: 'kernel',
  refuses(group: GroupView): string | undefined {
    const { anchor } = group;
    if (!anchor) return 'no kernel operator';
    const reason = refuseOperands(group);
    if (reason !== undefined) return reason;
    if (
      group.node.op === 'group' &&
      group.expressions().some((e, i) => e.op !== 'arg' || e.index !== group.node.inputs.length + i)
    )
      return 'only the operator itself';
    if (!native().kernelNames().includes(anchor.op)) return `no kernel '${anchor.op}'`;
    if (anchor.op === 'attention' && anchor.inputs.length > attentionInputs)
      return 'the attention kernel takes no query offsets or sinks';
    const dtype = dtypeOf(group.outputs[0]);
    if (dtype !== undefined && missing[anchor.op]?.includes(dtype)) return `no kernel '${anchor.op}' for ${dtype}`;
    for (const input of Object.values(operandAttributes[anchor.op] ?? {})) {
      if (!inferFacts(anchor.inputs[input]!)?.every((d) => typeof d === 'number'))
        return `operand ${String(input)} is only known at run time`;
    }
    const sizes = sizeOperands[anchor.op];
    if (sizes !== undefined && !inferFacts(anchor.inputs[sizes]!))
      return `operand ${String(sizes)}, which sizes the result, is only known at run time`;
    for (const [name, value] of Object.entries(anchor.attributes)) {
      if (value !== undefined && planAttribute(value) === undefined)
        return `attribute '${name}' is only known at run time`;
    }
    return undefined;
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const anchor = group.anchor!;
    const layouts: readonly Layout[] = eitherLayout.has(anchor.op) ? ['rows', 'channelsLast'] : ['rows'];
    return layouts.map((layout) => ({
      parameters: {},
      inputs: group.node.inputs.map((_, i): Access =>
        strided.has(anchor.op) ? 'strided' : i === group.anchorInputs[0] ? layout : 'rows',
      ),
      outputs: group.outputs.map(() => layout),
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
    const { op, inputs } = group.anchor!;
    for (const [name, input] of Object.entries(operandAttributes[op] ?? {}))
      attributes[name] = inferFacts(inputs[input]!) as number[];
    return {
      kernel: op,
      attributes,
      inputs: group.anchorInputs
        .slice(0, knownOperands[op])
        .map((index) => (index === undefined ? { kind: 'omitted' } : { kind: 'input', index })),
      outputs: group.outputs.map((_, index) => ({ kind: 'output', index })),
    };
  },
};

/** Numbers, strings, booleans and flat lists of them; undefined for what is not plain. */
export function planAttribute(value: AttributeValue): PlanAttribute | undefined {
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  if (Array.isArray(value) && (value.every((v) => typeof v === 'number') || value.every((v) => typeof v === 'string')))
    return value;
  return undefined;
}
