/** NonZeroPlugin: where a tensor is not zero, and how often. */

import { definePlugin } from '../define-plugin.js';
import { field, type OptionalField } from '../fields.js';
import type { Plugin } from '../plugin.js';

type NonZero = Plugin<readonly ['input'], readonly ['indices', 'count'], { readonly rowMajor: OptionalField<number> }>;

/**
 * The places of the elements that are not zero, in row-major order.
 *
 * - `input`: any shape of rank 1 or more, any numbers or booleans. NaN is not zero.
 * - `indices`: [count, rank], or [rank, count] where `rowMajor` is 0; int32. Only the run knows the extent.
 * - `count`: [], int32.
 * - `rowMajor` (1): a row for each place; 0: a column.
 *
 * Lowered to the standard layer NonZero, which counts on the device. Version 0 of the plugin that TensorRT's sample of
 * data-dependent shapes has, which takes matrices. Source: NonZero of ONNX; NVIDIA/TensorRT, samples/sampleNonZeroPlugin.
 */
export const nonZero: NonZero = definePlugin({
  name: 'NonZeroPlugin',
  version: '0',
  fields: { rowMajor: field.int(1) },
  inputs: ['input'],
  outputs: ['indices', 'count'],
  lower({ inputs: { input }, fields: { rowMajor }, fail }, network) {
    if (input.dims.length === 0) fail('input must have rank 1 or more');
    const places = network.addNonZero(input);
    const [count] = network.addOperator('dims', [], { values: [places.dims![1]!], rank: 0 });
    const indices = rowMajor === 0 ? places : network.addShuffle(places, { firstTranspose: [1, 0] });
    return { indices: network.addCast(indices, 'int32'), count: network.addCast(count!, 'int32') };
  },
});
