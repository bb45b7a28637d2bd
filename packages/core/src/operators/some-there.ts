/** Results that are made of one or more elements of something, of which there must be some. */

import { type Dim, dimBounds, minDims, mulDims, productOf } from '../dim.js';
import type { InferContext } from '../operator.js';

/** Where a result of extents `wanted` has elements, those of `there` must have some, too; `what` is said to be their numbers. */
export function agreeOnSome(c: InferContext, wanted: readonly Dim[], there: readonly Dim[], what: string): void {
  if (there.every((d) => dimBounds(d).min > 0)) return;
  // 1 or 0.
  const some = (dims: readonly Dim[]): Dim => productOf(dims.map((d) => minDims(d, 1)));
  c.agree(some(wanted), mulDims(some(wanted), some(there)), `${what}, up to one element,`);
}
