/** Filters in the order that cuDNN likes best: K, taps, C. */

import { dtypeInfo, elementCount, memo, Tensor } from '@tensorwright/core';

/** Of filters K, C, taps. */
export const tapsFirst: (filters: Tensor) => Tensor = memo((filters) => {
  const [outputs, channels, ...kernel] = filters.dims as [number, number, ...number[]];
  const taps = elementCount(kernel);
  const size = dtypeInfo(filters.dtype).bits / 8;
  const from = filters.bytes;
  const to = new Uint8Array(from.length);
  let at = 0;
  for (let k = 0; k < outputs; k++)
    for (let tap = 0; tap < taps; tap++)
      for (let c = 0; c < channels; c++)
        for (let byte = ((k * channels + c) * taps + tap) * size, end = byte + size; byte < end;)
          to[at++] = from[byte++]!;
  return Tensor.fromBytes(filters.dtype, to, [outputs, ...kernel, channels]);
});
