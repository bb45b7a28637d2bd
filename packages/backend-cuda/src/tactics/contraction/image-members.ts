/** What kernels of images ask of a convolution, as members of the C++ struct that describes it. */

import type { Arguments } from '../../launch/arguments.js';
import type { Geometry } from './conv-problem.js';

/** Numbers that are known when the kernel is compiled. */
export function printNumbers(numbers: Readonly<Record<string, number>>): string {
  const list = Object.entries(numbers).map(([name, value]) => `${name} = ${String(value)}`);
  return `  static constexpr int ${list.join(', ')};`;
}

/** Extents and pads of an image [N, C, y, x], some of which only the run may know. */
export function printExtents(g: Geometry, args: Arguments): string {
  const extents = {
    images: g.out[0]!,
    in_y: g.x[2]!,
    in_x: g.x[3]!,
    out_y: g.out[2]!,
    out_x: g.out[3]!,
    pad_y: g.pads[0]!,
    pad_x: g.pads[1]!,
  };
  return Object.entries(extents)
    .map(
      ([name, d]) => `  TW_DEVICE static i32 ${name}([[maybe_unused]] const Arguments& a) { return ${args.dim(d)}; }`,
    )
    .join('\n');
}
