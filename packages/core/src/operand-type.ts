/** What tactics ask of the operands of a group. */

import type { Layout } from './backend.js';
import type { DType } from './dtype.js';
import type { Value } from './graph.js';

/** undefined: it is left out, or no tensor. */
export function dtypeOf(v: Value | undefined): DType | undefined {
  return v?.type.kind === 'tensor' ? v.type.dtype : undefined;
}

/** Both layouts for images, row-major for all else. */
export function layoutsFor(v: Value): readonly Layout[] {
  const rank = v.type.kind === 'tensor' ? v.type.dims?.length : undefined;
  return rank !== undefined && rank >= 3 && rank <= 5 ? ['rows', 'channelsLast'] : ['rows'];
}
