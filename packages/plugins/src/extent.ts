/** Extents as the functions of plugins give them. */

import { type Dim, DimExpression } from '@tensorwright/core';

/** An extent that is none only where the run decides it. */
export function isExtent(d: unknown): d is Dim {
  return d instanceof DimExpression || (Number.isSafeInteger(d) && (d as number) >= 0);
}
