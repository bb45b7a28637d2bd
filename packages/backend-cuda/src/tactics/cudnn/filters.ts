/** Filters in the order that cuDNN likes best: K, taps, C. */

import { dtypeInfo, elementCount, Tensor } from '@tensorwright/core';

const cache = new WeakMap<Tensor, Tensor>();

/** Of filters K, C, taps. */
export function tapsFirst(filters: Tensor): Tensor {
  let turned = cache.get(filters);
  if (!turned) cache.set(filters, (turned = turn(filters)));
  return turned;
}

function turn(filters: Tensor): Tensor {
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
}
