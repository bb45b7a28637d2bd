/** Tactics that run one operator as it stands, without the map nodes around it: what all of them share. */

import {
  asSymbol,
  type Dim,
  definerOf,
  type DimSymbol,
  dimSymbols,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type Layout,
  symbolDim,
  type TensorType,
  type Value,
} from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../../tactic.js';
import { refuseScalars } from '../../print/scalars.js';
import { bytesOf, memoryMicroseconds, refuseOperands, sameExtents } from '../operands.js';

export interface OperatorTactic {
  readonly name: string;
  readonly operators: readonly string[];
  /** Why it does not take this one; its operands are tensors that kernels store. */
  readonly refuses?: (group: GroupView) => string | undefined;
  /** Layouts of the first operand and the outputs. Default: rows. */
  readonly layouts?: (group: GroupView) => readonly Layout[];
  /** Whether the first operand must be dense in the layout of the output. Default: all are read through any strides. */
  readonly dense?: boolean;
  /** Whether the first output may be a slot of a larger tensor. Default: yes. */
  readonly stridedOutput?: boolean;
  /** Whether it changes the first operand into the result in place. Default: no. */
  readonly inPlace?: (group: GroupView) => boolean;
  /** Whether it computes maps of its result as well. Default: no. */
  readonly epilogue?: boolean;
  /** Whether its launches count what comes out where values decide that. Default: no. */
  readonly counts?: boolean;
  /** Microseconds. Default: the time to move the operands. */
  readonly estimate?: (group: GroupView, layout: Layout) => number;
  readonly emit: (group: GroupView, context: EmitContext, layout: Layout) => Promise<EmittedStep>;
}

export function operatorTactic(o: OperatorTactic): Tactic {
  return {
    ...operatorOutline(o),
    emit: (group, candidate, context) => o.emit(group, context, candidate.outputs[0] ?? 'rows'),
  };
}

/** All but the emission, for tactics that have several ways of it. */
export function operatorOutline(o: Omit<OperatorTactic, 'emit'>): Omit<Tactic, 'emit'> {
  return {
    name: o.name,
    refuses(group: GroupView): string | undefined {
      const op = group.anchor?.op;
      if (op === undefined || !o.operators.includes(op)) return `no ${o.name}`;
      const late = o.counts === true ? refuseMixedSizes(group) : refuseLateSizes(group);
      const alone = o.epilogue === true ? refuseEpilogue(group) : onlyItself(group);
      return alone ?? refuseOperands(group) ?? late ?? o.refuses?.(group);
    },
    candidates(group: GroupView): readonly CandidateOutline[] {
      const inPlace = o.inPlace?.(group) === true;
      const dense = o.dense === true || inPlace;
      return (o.layouts?.(group) ?? ['rows']).map((layout) => ({
        parameters: { layout },
        inputs: group.node.inputs.map((_, i) => (dense && i === group.anchorInputs[0] ? layout : 'strided')),
        outputs: group.outputs.map(() => layout),
        ...(inPlace && { aliases: [group.anchorInputs[0]] }),
        stridedOutput: o.stridedOutput ?? (!inPlace && ownExtents(group).length === 0),
        estimate: o.estimate?.(group, layout) ?? memoryMicroseconds(bytesOf(group)),
      }));
    },
  };
}

export function onlyItself(group: GroupView): string | undefined {
  const plain =
    group.node.op !== 'group' ||
    (group.anchorInputs.every((i) => i !== -1) &&
      group.expressions().every((e, i) => e.op === 'arg' && e.index === group.node.inputs.length + i));
  return plain ? undefined : 'only the operator itself';
}

/** Why a kernel that computes maps of its result does not take these; undefined where it does, or where there are none. */
function refuseEpilogue(group: GroupView): string | undefined {
  if (onlyItself(group) === undefined) return undefined;
  if (group.anchorInputs.includes(-1)) return 'only what follows the operator is computed';
  const [anchor, ...others] = [...group.anchor!.outputs, ...group.outputs].map((v) => (v.type as TensorType).dims!);
  if (others.length !== 1 || !sameExtents(anchor!, others[0]!)) return 'one result of the same extents';
  return refuseScalars(group.expressions());
}

/** Launches and buffers are sized before anything runs, so sizes must not come out of the kernel. */
export function refuseLateSizes(group: GroupView): string | undefined {
  return ownExtents(group).length > 0
    ? `the size of ${group.anchor!.op}'s result depends on values that only the run knows`
    : undefined;
}

/** What is counted tells extents, not what they are computed from: an output has some as they are, or only others. */
export function refuseMixedSizes(group: GroupView): string | undefined {
  const own = new Set(ownExtents(group).map(asSymbol));
  const isOwn = (d: Dim): boolean => own.has(asSymbol(d));
  const mixed = group.outputs.some(({ type }) => {
    const dims = (type.kind === 'tensor' ? type.dims : undefined) ?? [];
    return dims.some(isOwn) && dims.some((d) => !isOwn(d) && [...dimSymbols(d)].some((s) => own.has(s)));
  });
  return mixed
    ? `a result of ${group.anchor!.op} has counted extents and others that are computed from them`
    : undefined;
}

/** Symbols in the outputs' extents that the values of this very node decide, in the order of their first use. */
export function ownExtents(group: GroupView): readonly Dim[] {
  const own = (v: Value | undefined): boolean => v?.node === group.node || v?.node === group.anchor;
  const symbols = new Set<DimSymbol>();
  for (const { type } of group.outputs) {
    if (type.kind !== 'tensor') continue;
    for (const d of type.dims ?? []) for (const s of dimSymbols(d)) if (own(definerOf(s))) symbols.add(s);
  }
  return [...symbols].map(symbolDim);
}
