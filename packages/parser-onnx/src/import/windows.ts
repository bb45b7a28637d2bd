/** The window attributes that convolutions and pools share, with auto_pad resolved. */

import { type Dim, floorDivDims, maxDims, samePadding, subDims } from '@tensorwright/core';
import type { ImportContext } from './importer.js';

export interface WindowAttributes {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly Dim[];
}

/** An ints attribute with one element per spatial axis. */
export function perAxis(c: ImportContext, name: string, rank: number, fallback: number): readonly number[] {
  const given = c.ints(name) ?? [];
  if (given.length === 0) return new Array<number>(rank).fill(fallback);
  if (given.length !== rank) c.fail(`${name} has ${String(given.length)} elements for ${String(rank)} spatial axes`);
  return given;
}

/** @param input spatial extents */
export function windowAttributes(c: ImportContext, input: readonly Dim[], kernel: readonly number[]): WindowAttributes {
  const rank = kernel.length;
  if (rank !== input.length)
    c.fail(`the kernel has ${String(rank)} axes, the input ${String(input.length)} spatial ones`);
  const strides = perAxis(c, 'strides', rank, 1);
  const dilations = perAxis(c, 'dilations', rank, 1);
  const mode = c.string('auto_pad', 'NOTSET');
  switch (mode) {
    case '':
    case 'NOTSET': {
      const pads = c.ints('pads') ?? [];
      if (pads.length !== 0 && pads.length !== 2 * rank)
        c.fail(`pads has ${String(pads.length)} elements for ${String(rank)} spatial axes`);
      return { strides, dilations, pads: pads.length === 0 ? new Array<number>(2 * rank).fill(0) : pads };
    }
    case 'VALID':
      return { strides, dilations, pads: new Array<number>(2 * rank).fill(0) };
    case 'SAME_UPPER':
    case 'SAME_LOWER': {
      const totals = input.map((extent, i) => maxDims(samePadding(extent, kernel[i]!, strides[i]!, dilations[i]!), 0));
      return { strides, dilations, pads: splitPadding(totals, mode === 'SAME_UPPER') };
    }
    default:
      return c.fail(`auto_pad '${mode}' is unknown`);
  }
}

/** Halves of each total; the odd one goes to the end when `upper`. */
export function splitPadding(totals: readonly Dim[], upper: boolean): Dim[] {
  const small = totals.map((t) => floorDivDims(t, 2));
  const large = totals.map((t, i) => subDims(t, small[i]!));
  return upper ? [...small, ...large] : [...large, ...small];
}
