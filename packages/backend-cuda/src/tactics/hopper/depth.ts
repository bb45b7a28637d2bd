/** The depth of a product as the steps that loads take. */

import { ceilDivDims, type Dim } from '@tensorwright/core';
import type { Arguments, Source } from '../../launch/arguments.js';
import type { Span } from './tiles.js';

/** The depth in steps: taps, and of each the channels in slices. A plain product has one tap. */
export interface Depth {
  readonly taps: number;
  /** Slices of a tap; the last one may end in zeros. */
  readonly slices: Dim;
  /** Elements of a slice. */
  readonly elements: number;
}

export function depthOf(taps: number, channels: Dim, span: number, bytes: number): Depth {
  const elements = span / bytes;
  return { taps, slices: ceilDivDims(channels, elements), elements };
}

/** Steps to plan for: an extent that is not known is taken as one slice. */
export function stepsOf({ taps, slices }: Depth): number {
  return taps * (typeof slices === 'number' ? slices : 1);
}

export interface LoaderOptions {
  readonly name: string;
  /** C++ type of the elements, and their size in bytes. */
  readonly type: string;
  readonly bytes: number;
  readonly source: Source;
  readonly constant: boolean;
  /** Rows of a load. */
  readonly rows: number;
  /** Bytes of depth of a load: the span of its swizzle. */
  readonly span: Span;
  /** Whether blocks of a cluster load parts of a tile for all of them. Default: no. */
  readonly multicast?: boolean;
}

/** prefetch(), and the beginning of load(): the tap, and the channel that a step begins with. */
export function printLoadHead(
  { taps, slices, elements }: Depth,
  map: string,
  { multicast = false }: LoaderOptions,
  args: Arguments,
): string[] {
  return [
    `  TW_DEVICE static void prefetch(const Arguments& a) { prefetch_tensor_map(&${map}); }`,
    `  TW_DEVICE static void load(const Arguments& a, void* shared, u64* barrier, const Place& at, i32 step${multicast ? ', u16 blocks' : ''}) {`,
    ...(taps === 1
      ? [`    const i32 channel = step * ${String(elements)};`]
      : [
          `    const i32 tap = static_cast<u32>(step) / static_cast<u32>(${args.dim(slices)});`,
          `    const i32 channel = (step - tap * ${args.dim(slices)}) * ${String(elements)};`,
        ]),
  ];
}
