/** Constants whose products and sums are exact, or nearly so, in every dtype. */

import { type DType, elementCount, type GraphBuilder, tensorFromNumbers, type Value } from '@tensorwright/core';

/** Sixteenths between -1/2 and 1/2, integers between -8 and 8, or up to 8 where they have no sign. */
export function smallWeights(b: GraphBuilder, dtype: DType, dims: readonly number[]): Value {
  const numbers = Float64Array.from({ length: elementCount(dims) }, (_, i) => {
    const n = ((i * 7919) % 17) - 8;
    return dtype.startsWith('u') ? Math.abs(n) : n / (dtype.includes('int') ? 1 : 16);
  });
  return b.constant(tensorFromNumbers(dtype, numbers, dims));
}
