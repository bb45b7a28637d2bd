/**
 * dot and conv with the map nodes that follow as epilogue. Constant weights are packed at build. bfloat16 and 8-bit
 * integers have kernels of their own; other narrow floats are widened to float32 when the kernel runs.
 */

import {
  type Access,
  type Candidate,
  constantDataOf,
  type EmitContext,
  type EmittedOperand,
  type EmittedStep,
  type PlanAttribute,
  Tensor,
  type TensorType,
  type GroupView,
} from '@tensorwright/core';
import { native } from '../native.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { type ConvAlgorithm, convAlgorithms, narrowConvAlgorithms } from './conv-algorithms.js';
import { type Epilogue, epilogueOf } from './epilogue.js';
import { asFloat32, isNarrow, isWidened, widened } from './narrow.js';
import { dtypeOf, refuseOperands } from './operands.js';

type Attributes = Readonly<Record<string, PlanAttribute>>;

/** The anchor's own attributes, as its kernel wants them. */
function anchorAttributes(group: GroupView): Attributes {
  const anchor = group.anchor!;
  const a = anchor.attributes;
  if (anchor.op === 'dot') return { lhs: a['lhs'] as string, rhs: a['rhs'] as string, out: a['out'] as string };
  const weights = anchor.inputs[1]!.type as TensorType;
  const out: Record<string, PlanAttribute> = { kernelShape: weights.dims!.slice(2) as number[] };
  for (const [name, value] of Object.entries(a)) if (value !== undefined) out[name] = value as PlanAttribute;
  return out;
}

const contractions = new Set(['dot', 'conv', 'convTranspose']);

export const contraction: Tactic = {
  name: 'contraction',
  refuses(group: GroupView): string | undefined {
    if (!group.anchor || !contractions.has(group.anchor.op)) return 'no contraction';
    const reason = refuseOperands(group);
    if (reason !== undefined) return reason;
    if (group.outputs.length !== 1) return 'more than one result';
    const pads = group.anchor.attributes['pads'] as readonly unknown[] | undefined;
    if (pads?.some((p) => typeof p !== 'number' || p < 0)) return 'pads are negative or only known at run time';
    if (group.anchorInputs.includes(-1)) return 'a contraction reads no computed operand';
    const kernel = kernelOf(group, isNarrow(group));
    if (!native().kernelNames().includes(kernel)) return `no kernel '${kernel}'`;
    if (!isFloat(group) && !isNarrow(group) && group.expressions()[0]!.op !== 'arg') return 'epilogues are float32';
    return undefined;
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const anchor = group.anchor!;
    const image = anchor.op !== 'dot';
    const side = group.node.inputs.map(() => 'strided' as const);
    return algorithmsOf(group).map(({ algorithm, layout, estimate, widen }) => ({
      ...(algorithm !== undefined && { variant: widen ? `${algorithm}-widened` : algorithm }),
      parameters: { ...(algorithm !== undefined && { algorithm }), ...(widen && { widen: 1 }) },
      inputs: side.map((access, i) =>
        i === group.anchorInputs[0] && image && (isFloat(group) || isNarrow(group))
          ? layout
          : i === group.anchorInputs[1] || i === group.anchorInputs[2]
            ? image
              ? 'rows'
              : 'strided'
            : access,
      ),
      outputs: [image ? 'channelsLast' : 'rows'],
      stridedOutput: true,
      estimate,
    }));
  },
  async emit(group: GroupView, candidate: Candidate, _context: EmitContext): Promise<EmittedStep> {
    const { widen, ...parameters } = candidate.parameters;
    const narrow = isNarrow(group) && widen === undefined;
    const epilogue = epilogueOf(group, narrow);
    const attributes = { ...anchorAttributes(group), ...parameters, ...epilogue.attributes };
    const [x, w] = group.anchorInputs;
    const weights = await packed(group, attributes, w!, narrow);
    return {
      kernel: kernelOf(group, narrow),
      attributes: weights ? { ...attributes, ...weights.attributes } : attributes,
      inputs: [
        { kind: 'input', index: x! },
        weights ? { kind: 'constant', tensor: weights.tensor } : { kind: 'input', index: w! },
        ...biasOf(group, epilogue, narrow),
        ...epilogue.sides,
      ],
      outputs: [{ kind: 'output', index: 0 }],
    };
  },
};

type Algorithm = Omit<ConvAlgorithm, 'algorithm' | 'layout'> & { algorithm?: string; layout: Access };

function algorithmsOf(group: GroupView): readonly Algorithm[] {
  if (group.anchor!.op === 'conv') {
    if (isNarrow(group)) return narrowConvAlgorithms(group);
    if (isFloat(group)) return convAlgorithms(group);
  }
  return [{ layout: 'strided', estimate: 1 }];
}

/** The input after the weights, which a plain dot lacks. */
function biasOf(group: GroupView, epilogue: Epilogue, narrow: boolean): readonly EmittedOperand[] {
  if (!narrow && group.anchor!.op === 'dot') return [];
  const index = group.anchorInputs[2];
  if (index === undefined) return [epilogue.bias ?? { kind: 'omitted' }];
  return [(narrow ? widened(group, index) : undefined) ?? { kind: 'input', index }];
}

function isFloat32(group: GroupView): boolean {
  const values = [...group.anchor!.inputs, group.anchor!.outputs[0], group.outputs[0]];
  return values.every((v) => !v || dtypeOf(v) === 'float32');
}

/** Whether everything is computed in float32. */
function isFloat(group: GroupView): boolean {
  return isFloat32(group) || isWidened(group);
}

function kernelOf(group: GroupView, narrow: boolean): string {
  const kind = narrow ? 'narrow' : isFloat32(group) ? 'f32' : 'any';
  return group.anchor!.op === 'convTranspose' ? `conv_transpose_${kind}` : `${group.anchor!.op}_${kind}`;
}

interface PackedWeights {
  readonly tensor: Tensor;
  readonly attributes: Attributes;
}

/** The packed form of constant weights; undefined where they are computed, or the kernel reads them as they are. */
async function packed(
  group: GroupView,
  attributes: Attributes,
  operand: number,
  narrow: boolean,
): Promise<PackedWeights | undefined> {
  const { anchor } = group;
  const readable = narrow || isFloat(group);
  const constant = readable ? await constantDataOf(group.node.inputs[operand])?.load() : undefined;
  const weights = narrow ? constant : constant && asFloat32(constant);
  if (!weights) return undefined;
  const own: Attributes = narrow ? { packed: 1, weights: weights.dtype } : { packed: 1 };
  const tactic = narrow ? 'narrow' : anchor!.op === 'conv' ? String(attributes['algorithm']) : undefined;
  const bytes = await native().pack(
    tactic === undefined ? anchor!.op : `${anchor!.op}.${tactic}`,
    { ...attributes, ...own },
    { dtype: weights.dtype, dims: [...weights.dims], bytes: weights.bytes },
  );
  return { tensor: new Tensor('uint8', bytes, [bytes.length]), attributes: own };
}
