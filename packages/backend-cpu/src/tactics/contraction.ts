/** dot and conv with the map nodes that follow as epilogue. Constant float32 weights are packed at build. */

import {
  type Candidate,
  constantDataOf,
  type EmitContext,
  type EmittedOperand,
  type EmittedStep,
  type PlanAttribute,
  Tensor,
  type TensorType,
  anchorArg,
  type GroupView,
} from '@tensorwright/core';
import { native } from '../native.js';
import { printTape } from '../tape.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { convAlgorithms } from './conv-algorithms.js';
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

function epilogueOf(group: GroupView): { attributes: Attributes; sides: readonly number[] } {
  const accumulator = anchorArg(group);
  const [expression] = group.expressions();
  if (expression!.op === 'arg') return { attributes: {}, sides: [] };
  const tape = printTape([expression!], [accumulator]);
  return { attributes: { tape: [...tape.instructions], results: [...tape.results] }, sides: tape.operands.slice(1) };
}

function isFloat32(group: GroupView): boolean {
  return (
    group.anchor!.inputs.every((v) => !v || dtypeOf(v) === 'float32') &&
    dtypeOf(group.anchor!.outputs[0]) === 'float32' &&
    dtypeOf(group.outputs[0]) === 'float32'
  );
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
    const kernel = kernelOf(group);
    if (!native().kernelNames().includes(kernel)) return `no kernel '${kernel}'`;
    if (!isFloat32(group) && group.expressions()[0]!.op !== 'arg') return 'epilogues are float32';
    return undefined;
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const anchor = group.anchor!;
    const image = anchor.op !== 'dot';
    const side = group.node.inputs.map(() => 'strided' as const);
    const algorithms =
      anchor.op === 'conv' && isFloat32(group)
        ? convAlgorithms(group)
        : [{ algorithm: undefined, layout: 'strided' as const, estimate: 1 }];
    return algorithms.map(({ algorithm, layout, estimate }) => ({
      ...(algorithm !== undefined && { variant: algorithm }),
      parameters: algorithm === undefined ? {} : { algorithm },
      inputs: side.map((access, i) =>
        i === group.anchorInputs[0] && image && isFloat32(group)
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
    const epilogue = epilogueOf(group);
    const attributes = { ...anchorAttributes(group), ...candidate.parameters, ...epilogue.attributes };
    const [x, w, bias] = group.anchorInputs;
    const weights = await packed(group, attributes, w!);
    const inputs: EmittedOperand[] = [
      { kind: 'input', index: x! },
      weights ? { kind: 'constant', tensor: weights } : { kind: 'input', index: w! },
    ];
    if (group.anchor!.op !== 'dot')
      inputs.push(bias === undefined ? { kind: 'omitted' } : { kind: 'input', index: bias });
    inputs.push(...epilogue.sides.map((index) => ({ kind: 'input', index, broadcast: true }) as const));
    return {
      kernel: kernelOf(group),
      attributes: weights ? { ...attributes, packed: 1 } : attributes,
      inputs,
      outputs: [{ kind: 'output', index: 0 }],
    };
  },
};

function kernelOf(group: GroupView): string {
  const float = isFloat32(group);
  switch (group.anchor!.op) {
    case 'dot':
      return float ? 'dot_f32' : 'dot_any';
    case 'conv':
      return float ? 'conv_f32' : 'conv_any';
    default:
      return float ? 'conv_transpose_f32' : 'conv_transpose_any';
  }
}

/** The packed form of constant weights; undefined where they are computed, or the kernel reads them as they are. */
async function packed(group: GroupView, attributes: Attributes, operand: number): Promise<Tensor | undefined> {
  const { anchor } = group;
  const weights = isFloat32(group) ? await constantDataOf(group.node.inputs[operand])?.load() : undefined;
  if (!weights) return undefined;
  const tactic = anchor!.op === 'conv' ? `conv.${String(attributes['algorithm'])}` : anchor!.op;
  const bytes = await native().pack(tactic, attributes, {
    dtype: 'float32',
    dims: [...weights.dims],
    bytes: weights.bytes,
  });
  return new Tensor('uint8', bytes, [bytes.length]);
}
