/** The sliding windows of an operator's attributes, and where they begin, as kernel text. */

import { type Attributes, type Dim } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';

export interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Begin of every spatial axis, then end of every one. */
  readonly pads: readonly Dim[];
}

export function windowsOf(attributes: Attributes, kernel: readonly number[]): Windows {
  const list = (name: string, length: number, fallback: number): readonly Dim[] => {
    const given = (attributes[name] as readonly Dim[] | undefined) ?? [];
    return given.length > 0 ? given : new Array<number>(length).fill(fallback);
  };
  const rank = kernel.length;
  return {
    kernel,
    strides: list('strides', rank, 1) as readonly number[],
    dilations: list('dilations', rank, 1) as readonly number[],
    pads: list('pads', 2 * rank, 0),
  };
}

/** Windows of fewer taps are unrolled. */
const unrolledTaps = 32;

/**
 * Loops over the taps of the window at output coordinates c2, c3 …; within, x2, x3 … are the input's coordinates and
 * t0, t1 … those of the tap. Taps outside of the input are left out.
 */
export function overTaps(w: Windows, extents: readonly Dim[], number: string, args: Arguments, body: string): string {
  const taps = w.kernel.reduce((p, k) => p * k, 1);
  const lines: string[] = [];
  w.kernel.forEach((size, i) => {
    const [k, d] = [String(i), w.dilations[i]!];
    const at = `c${String(i + 2)} * ${String(w.strides[i]!)} - ${args.dim(w.pads[i]!)}`;
    lines.push(
      ...(taps <= unrolledTaps ? ['#pragma unroll'] : ['#pragma unroll 4']),
      `  for (int t${k} = 0; t${k} < ${String(size)}; ++t${k}) {`,
      `    const ${number} x${String(i + 2)} = ${at} + t${k}${d === 1 ? '' : ` * ${String(d)}`};`,
      `    if (x${String(i + 2)} < 0 || x${String(i + 2)} >= ${args.dim(extents[i]!)}) continue;`,
    );
  });
  return [...lines, body, ...w.kernel.map(() => '  }')].join('\n');
}
