/** Narrow groups of a convolution merged into wider ones: weights as block-diagonal matrices, zero between groups. */

import { dtypeInfo, elementCount, memoByKind, Tensor } from '@tensorwright/core';

/** Output channels that a tile holds anyway, and input channels beyond which zeros would cost more than they save. */
const mostColumns = 32;
const mostChannels = 64;

/** How many groups of so many output and input channels make one. */
export function groupsToMerge(groups: number, columns: number, channels: number): number {
  for (let n = Math.min(groups, Math.floor(mostColumns / columns)); n > 1; n--)
    if (groups % n === 0 && channels * n <= mostChannels) return n;
  return 1;
}

const mergedOf = memoByKind<Tensor, Tensor>();

/** Weights [M, C, taps…] of groups as [M, C · merged, taps…]. */
export function mergeGroups(weights: Tensor, groups: number, merged: number): Tensor {
  // The same weights may serve convolutions of other groups.
  return mergedOf(weights, `${String(groups)} ${String(merged)}`, () => expand(weights, groups, merged));
}

function expand(weights: Tensor, groups: number, merged: number): Tensor {
  const [outputs, channels, ...kernel] = weights.dims as [number, number, ...number[]];
  const block = (channels * elementCount(kernel) * dtypeInfo(weights.dtype).bits) / 8;
  const perGroup = outputs / groups;
  const bytes = new Uint8Array(outputs * merged * block);
  for (let m = 0; m < outputs; m++) {
    const place = Math.floor(m / perGroup) % merged;
    bytes.set(weights.bytes.subarray(m * block, (m + 1) * block), (m * merged + place) * block);
  }
  return Tensor.fromBytes(weights.dtype, bytes, [outputs, channels * merged, ...kernel]);
}
