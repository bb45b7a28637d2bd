/**
 * conv and convTranspose as contractions over channels-last images: rows are output pixels, columns output channels,
 * the depth is the window's taps and, innermost, the input channels. Groups are batches. A transposed convolution of
 * stride s is s convolutions along each axis, one for each residue of the output coordinate: batches too.
 */

import {
  ceilDivDims,
  constantOf,
  type Dim,
  dimBounds,
  type GroupView,
  type MemoryView,
  mulDims,
  negDim,
  provablyLessOrEqual,
  type TensorType,
} from '@tensorwright/core';
import { groupsToMerge, mergeGroups } from './group-weights.js';
import type { Operand, OutputAxis, PhaseTable, Problem, Window } from './problem.js';
import { imageInput } from './prologue.js';

export interface Geometry {
  readonly x: readonly Dim[];
  readonly w: readonly Dim[];
  readonly out: readonly Dim[];
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly Dim[];
  readonly group: number;
}

export function geometryOf(group: GroupView): Geometry {
  const anchor = group.anchor!;
  const dims = (i: number): readonly Dim[] => (anchor.inputs[i]!.type as TensorType).dims!;
  const kernel = dims(1).slice(2) as number[];
  const list = <T>(name: string, length: number, fallback: T): readonly T[] => {
    const given = anchor.attributes[name] as readonly T[] | undefined;
    return given && given.length > 0 ? given : new Array<T>(length).fill(fallback);
  };
  return {
    x: dims(0),
    w: dims(1),
    out: (anchor.outputs[0]!.type as TensorType).dims!,
    kernel,
    strides: list('strides', kernel.length, 1),
    dilations: list('dilations', kernel.length, 1),
    pads: list<Dim>('pads', 2 * kernel.length, 0),
    group: anchor.attributes['group'] as number,
  };
}

/** An extent of an image to plan for: one that only the run knows is taken at 8 where its bounds allow it. */
export function likelyExtent(d: Dim): number {
  const { min, max } = dimBounds(d);
  return Math.min(max, Math.max(min, 8));
}

/** Why the convolution cannot be described; undefined when it can. */
export function refuseConv(group: GroupView): string | undefined {
  const { x, w, pads, group: groups } = geometryOf(group);
  if (typeof x[1] !== 'number' || w.some((d) => typeof d !== 'number')) return 'channels are only known at run time';
  if (group.anchor!.op === 'convTranspose' && pads.some((p) => typeof p !== 'number'))
    return 'pads are only known at run time';
  return x[1] % groups === 0 && x[1] > 0 && !w.includes(0) ? undefined : 'the convolution has no channels';
}

export function convProblem(group: GroupView): Problem {
  return group.anchor!.op === 'conv' ? forward(group, geometryOf(group)) : transposed(group, geometryOf(group));
}

function operands(group: GroupView): { x: number; w: number; bias: number | undefined } {
  const [, w, bias] = group.anchorInputs;
  return { x: imageInput(group)!, w: w!, bias };
}

function forward(group: GroupView, g: Geometry): Problem {
  const { x, w, bias } = operands(group);
  const rank = g.kernel.length;
  const weights = group.node.inputs[w]!.node.op === 'constant' ? group.node.inputs[w] : undefined;
  const merged = weights ? groupsToMerge(g.group, (g.w[0] as number) / g.group, g.w[1] as number) : 1;
  const groups = g.group / merged;
  const columns = (g.w[0] as number) / groups;
  const channels = (g.w[1] as number) * merged;
  const window = (view: MemoryView, i: number): Window => ({
    row: 1 + i,
    rowStep: g.strides[i]!,
    depth: i,
    depthStep: g.dilations[i]!,
    base: negDim(g.pads[i]!),
    stride: view.strides[2 + i]!,
    extent: g.x[2 + i]!,
    checked: !provablyLessOrEqual(g.pads[i]!, 0) || !provablyLessOrEqual(g.pads[i + rank]!, 0),
  });
  const zeros = g.kernel.map(() => 0);
  const left: Operand = {
    input: x,
    dtype: (group.anchor!.inputs[0]!.type as TensorType).dtype,
    axes: (view) => ({
      batch: [mulDims(view.strides[1]!, channels)],
      own: [view.strides[0]!, ...zeros],
      depth: [...zeros, view.strides[1]!],
      windows: g.kernel.map((_, i) => window(view, i)),
    }),
  };
  const right: Operand = {
    input: w,
    dtype: (group.anchor!.inputs[1]!.type as TensorType).dtype,
    ...(merged > 1 && { instead: () => mergeGroups(constantOf(weights)!, g.group, merged) }),
    axes: (view) => ({
      batch: [mulDims(view.strides[0]!, columns)],
      own: [view.strides[0]!],
      depth: [...view.strides.slice(2), view.strides[1]!],
      windows: [],
    }),
  };
  return {
    batch: [groups],
    rows: [g.out[0]!, ...g.out.slice(2)],
    columns: [columns],
    depth: [...g.kernel, channels],
    left,
    right,
    output: pixelAxes(rank, columns),
    ...(bias !== undefined && { bias: { input: bias, axis: 1 } }),
  };
}

function outputAxes(rank: number, columns: number, spatial: (i: number) => OutputAxis): OutputAxis[] {
  return [
    { terms: [{ role: 'rows', axis: 0, step: 1 }], checked: false },
    {
      terms: [
        { role: 'batch', axis: 0, step: columns },
        { role: 'columns', axis: 0, step: 1 },
      ],
      checked: false,
    },
    ...Array.from({ length: rank }, (_, i) => spatial(i)),
  ];
}

/** Of a convolution whose rows are [images, pixels…]: batches are groups of so many columns. */
export function pixelAxes(rank: number, columns: number): OutputAxis[] {
  return outputAxes(rank, columns, (i) => ({ terms: [{ role: 'rows', axis: 1 + i, step: 1 }], checked: false }));
}

/** The same without batches. */
export function ungrouped(axes: readonly OutputAxis[]): OutputAxis[] {
  return axes.map((axis, i) => (i === 1 ? { terms: [{ role: 'columns', axis: 0, step: 1 }], checked: false } : axis));
}

/** The taps that meet one residue: tap = first + j · step, image coordinate = row + base - j · shift. */
interface Phase {
  readonly first: number;
  readonly base: number;
  readonly count: number;
}

export function phasesOf(kernel: number, stride: number, dilation: number, pad: number): readonly Phase[] {
  const { step } = stepOf(stride, dilation);
  return Array.from({ length: stride }, (_, residue) => {
    for (let tap = 0; tap < Math.min(step, kernel); tap++) {
      const distance = residue + pad - tap * dilation;
      if (distance % stride === 0)
        return { first: tap, base: distance / stride, count: Math.ceil((kernel - tap) / step) };
    }
    return { first: kernel, base: 0, count: 0 };
  });
}

/** Taps of one residue are `step` apart; from one to the next the image coordinate falls by `shift`. */
function stepOf(stride: number, dilation: number): { step: number; shift: number } {
  let [a, b] = [stride, dilation];
  while (b !== 0) [a, b] = [b, a % b];
  return { step: stride / a, shift: dilation / a };
}

function transposed(group: GroupView, g: Geometry): Problem {
  const { x, w, bias } = operands(group);
  const rank = g.kernel.length;
  const channels = (g.x[1] as number) / g.group;
  const columns = g.w[1] as number;
  const phases = g.kernel.map((k, i) => phasesOf(k, g.strides[i]!, g.dilations[i]!, g.pads[i] as number));
  const taps = phases.map((list) => Math.max(1, ...list.map((p) => p.count)));
  const steps = g.strides.map((s, i) => stepOf(s, g.dilations[i]!));
  const table = (i: number, value: (p: Phase) => number): PhaseTable => ({
    batch: 1 + i,
    values: phases[i]!.map(value),
  });
  const tapWindow = (i: number, stride: Dim): Window => ({
    rowStep: 0,
    depth: i,
    depthStep: steps[i]!.step,
    base: table(i, (p) => p.first),
    stride,
    extent: g.kernel[i]!,
    checked: phases[i]!.some((p) => p.count !== taps[i]),
  });
  const zeros = g.kernel.map(() => 0);
  const left: Operand = {
    input: x,
    dtype: (group.anchor!.inputs[0]!.type as TensorType).dtype,
    axes: (view) => ({
      batch: [mulDims(view.strides[1]!, channels), ...zeros],
      own: [view.strides[0]!, ...zeros],
      depth: [...zeros, view.strides[1]!],
      windows: g.kernel.flatMap((_, i): Window[] => {
        const image: Window = {
          row: 1 + i,
          rowStep: 1,
          depth: i,
          depthStep: -steps[i]!.shift,
          base: table(i, (p) => p.base),
          stride: view.strides[2 + i]!,
          extent: g.x[2 + i]!,
          checked: true,
        };
        const tap = tapWindow(i, 0);
        return tap.checked ? [image, tap] : [image];
      }),
    }),
  };
  const right: Operand = {
    input: w,
    dtype: (group.anchor!.inputs[1]!.type as TensorType).dtype,
    axes: (view) => ({
      batch: [mulDims(view.strides[0]!, channels), ...zeros],
      own: [view.strides[1]!],
      depth: [...zeros, view.strides[0]!],
      windows: g.kernel.map((_, i) => tapWindow(i, view.strides[2 + i]!)),
    }),
  };
  return {
    batch: [g.group, ...g.strides],
    rows: [g.out[0]!, ...g.out.slice(2).map((d, i) => ceilDivDims(d, g.strides[i]!))],
    columns: [columns],
    depth: [...taps, channels],
    left,
    right,
    output: outputAxes(rank, columns, (i) => ({
      terms: [
        { role: 'rows', axis: 1 + i, step: g.strides[i]! },
        { role: 'batch', axis: 1 + i, step: 1 },
      ],
      checked: g.strides[i] !== 1,
    })),
    ...(bias !== undefined && { bias: { input: bias, axis: 1 } }),
  };
}
