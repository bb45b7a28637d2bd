/**
 * A node whose values decide the extents of its outputs, as up to three steps: launches that count, and write what they
 * find into scratch memory; the extents carried to the host, which then makes room; and launches that write the outputs.
 */

import {
  asSymbol,
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  invariant,
  type ScratchMemory,
} from '@tensorwright/core';
import { launchStep, type LaunchStep } from './launch-step.js';

export interface CountedStep {
  readonly group: GroupView;
  readonly context: EmitContext;
  /** Extents of the outputs that nothing else tells: symbols. */
  readonly extents: readonly Dim[];
  /**
   * As many int64, at least one, which `count` writes in this order. A negative one: the values of the inputs do not fit
   * each other. Default: there is nothing to read.
   */
  readonly extentsMemory?: ScratchMemory;
  /** Writes the scratch memory, that of the extents included. Its arguments hold none of the extents. */
  readonly count: Omit<LaunchStep, 'outputs'>;
  /** Writes the outputs; all dims are known. */
  readonly write: Promise<EmittedStep>;
}

export async function countedStep(step: CountedStep): Promise<EmittedStep> {
  const [count, write] = await Promise.all([launchStep({ ...step.count, outputs: 0 }), step.write]);
  return { ...write, before: step.extentsMemory ? [count, readExtents(step, step.extentsMemory)] : [count] };
}

/** Memory for so many extents; never none. */
export function extentsMemory(extents: readonly Dim[]): ScratchMemory {
  return { dtype: 'int64', dims: [Math.max(extents.length, 1)] };
}

function readExtents({ group, context, extents }: CountedStep, memory: ScratchMemory): EmittedStep {
  const numbers: Dim[] = [];
  const position = (d: Dim): number => extents.findIndex((e) => asSymbol(e) === asSymbol(d));
  const sized = group.outputs.flatMap((_, index) => {
    const dims = context.outputView(index)?.dims ?? [];
    const tells = (d: Dim): boolean => asSymbol(d) !== undefined && position(d) >= 0;
    if (!dims.some(tells)) return [];
    const text = dims.map((d) => (tells(d) ? `e${String(position(d))}` : `d${String(numbers.push(d) - 1)}`)).join(' ');
    return [{ index, text }];
  });
  invariant(sized.length > 0 || extents.length === 0, `no output of ${group.node.op} has the extents that it counts`);
  return {
    kernel: 'extents',
    attributes: sized.length > 0 ? { dims: sized.map((s) => s.text) } : {},
    inputs: [
      { kind: 'dims', values: numbers },
      { kind: 'scratch', memory },
    ],
    outputs: sized.map(({ index }) => ({ kind: 'output', index })),
  };
}
