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
import { dtypeOf, layoutsFor, refuseOperands } from './operands.js';

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

/** Operands of an operator, by position, that its kernel is not given: they must be known at build time. */
interface KnownOperands {
  /** How many come before them. */
  readonly first: number;
  /** The one that the result's extents are taken from. */
  readonly size: number;
  /** Those that are attributes of the kernel, by the attribute's name. */
  readonly attributes: Readonly<Record<string, number>>;
}

const knownOperands: Readonly<Record<string, KnownOperands>> = {
  col2im: { first: 1, size: 1, attributes: { blockShape: 2 } },
};

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
    const known = knownOperands[anchor.op];
    for (const input of Object.values(known?.attributes ?? {})) {
      if (!inferFacts(anchor.inputs[input]!)?.every((d) => typeof d === 'number'))
        return `operand ${String(input)} is only known at run time`;
    }
    if (known && !inferFacts(anchor.inputs[known.size]!))
      return `operand ${String(known.size)}, which sizes the result, is only known at run time`;
    for (const [name, value] of Object.entries(anchor.attributes)) {
      if (value !== undefined && planAttribute(value) === undefined)
        return `attribute '${name}' is only known at run time`;
    }
    return undefined;
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const anchor = group.anchor!;
    const layouts: readonly Layout[] = eitherLayout.has(anchor.op) ? layoutsFor(group.outputs[0]!) : ['rows'];
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
    const known = knownOperands[op];
    for (const [name, input] of Object.entries(known?.attributes ?? {}))
      attributes[name] = inferFacts(inputs[input]!) as number[];
    return {
      kernel: op,
      attributes,
      inputs: group.anchorInputs
        .slice(0, known?.first)
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
