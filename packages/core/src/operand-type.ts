/** What tactics ask of the operands of a group. */

import type { Layout } from './backend.js';
import { dimSymbols } from './dim.js';
import type { DType } from './dtype.js';
import type { Value } from './graph.js';
import { definerOf } from './order.js';

/** undefined: it is left out, or no tensor. */
export function dtypeOf(v: Value | undefined): DType | undefined {
  return v?.type.kind === 'tensor' ? v.type.dtype : undefined;
}

/** Both layouts for images, row-major for all else, and for what has extents that its own step finds out. */
export function layoutsFor(v: Value): readonly Layout[] {
  const dims = v.type.kind === 'tensor' ? v.type.dims : undefined;
  const isImage = dims !== undefined && dims.length >= 3 && dims.length <= 5;
  const findsOut = dims?.some((d) => [...dimSymbols(d)].some((s) => definerOf(s)?.node === v.node));
  return isImage && findsOut !== true ? ['rows', 'channelsLast'] : ['rows'];
}
