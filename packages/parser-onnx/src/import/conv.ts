/** Conv, ConvTranspose, DeformConv. */

import { addDims, type Dim, kernelSpan, mulDims, subDims, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { perAxis, splitPadding, windowAttributes } from './windows.js';

/** The weights' spatial extents, checked against kernel_shape. */
export function kernelShape(c: ImportContext, w: Value): number[] {
  const kernel = c.dimsOf(w).slice(2);
  if (kernel.some((k) => typeof k !== 'number'))
    c.unsupported('convolution with weights whose kernel extents are unknown');
  const given = c.ints('kernel_shape');
  if (given && given.length > 0 && given.join() !== kernel.join())
    c.fail(`kernel_shape [${given.join(', ')}] is not that of the weights, [${kernel.join(', ')}]`);
  return kernel as number[];
}

export function convolve(c: ImportContext, x: Value, w: Value, bias: Value | undefined): Value {
  const windows = windowAttributes(c, c.dimsOf(x).slice(2), kernelShape(c, w));
  return c.op('conv', [x, w, bias], { ...windows, group: c.int('group', 1) });
}

function convTranspose(c: ImportContext): Value {
  const [x, w] = [c.input(0), c.input(1)];
  const input = c.dimsOf(x).slice(2);
  const kernel = kernelShape(c, w);
  const rank = kernel.length;
  const strides = perAxis(c, 'strides', rank, 1);
  const dilations = perAxis(c, 'dilations', rank, 1);
  const outputPadding = perAxis(c, 'output_padding', rank, 0);
  const mode = c.string('auto_pad', 'NOTSET');
  const same = mode === 'SAME_UPPER' || mode === 'SAME_LOWER';
  const given = c.ints('output_shape') ?? [];
  // Some exporters list batch and channels as well.
  const wanted: readonly Dim[] =
    given.length > rank
      ? given.slice(-rank)
      : given.length > 0
        ? given
        : same
          ? input.map((d, i) => mulDims(d, strides[i]!))
          : [];
  let pads: readonly Dim[] =
    mode === 'VALID' ? new Array<number>(2 * rank).fill(0) : [...perAxis(c, 'pads', 2 * rank, 0)];
  if (wanted.length > 0) {
    const totals = wanted.map((extent, i) => {
      const full = addDims(
        mulDims(subDims(input[i]!, 1), strides[i]!),
        kernelSpan(kernel[i]!, dilations[i]!) + outputPadding[i]!,
      );
      return subDims(full, extent);
    });
    pads = splitPadding(totals, mode === 'SAME_UPPER');
  }
  return c.op('convTranspose', [x, w, c.optional(2)], {
    strides,
    dilations,
    pads,
    outputPadding,
    group: c.int('group', 1),
  });
}

function deformConv(c: ImportContext): Value {
  const [x, w, offset] = [c.input(0), c.input(1), c.input(2)];
  const windows = windowAttributes(c, c.dimsOf(x).slice(2), kernelShape(c, w));
  return c.op('deformConv', [x, w, offset, c.optional(3), c.optional(4)], {
    ...windows,
    group: c.int('group', 1),
    offsetGroup: c.int('offset_group', 1),
  });
}

export const convImporters: ImporterTable = {
  Conv: (c) => convolve(c, c.input(0), c.input(1), c.optional(2)),
  ConvTranspose: convTranspose,
  DeformConv: deformConv,
};
