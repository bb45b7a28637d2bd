/** What libraries want to know of where an operand lies. */

import { type Dim, type DType, dtypeInfo, provablyDivisible } from '@tensorwright/core';

/** More than this changes nothing for them. */
export const mostAlignment = 16;

/** What the address of an element so far into a buffer is a multiple of, in bytes. */
export function alignmentOf(offset: Dim, dtype: DType): number {
  const bytes = dtypeInfo(dtype).bits / 8;
  let alignment = mostAlignment;
  while (alignment > bytes && !provablyDivisible(offset, alignment / bytes)) alignment /= 2;
  return alignment;
}
