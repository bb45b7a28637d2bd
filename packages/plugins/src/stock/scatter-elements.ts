/** ScatterElements: updates combined into a tensor at given places. */

import { provablyEqual } from '@tensorwright/core';
import { field, type Field, type OptionalField } from '../fields.js';
import type { Plugin } from '../plugin.js';
import { defineVersions } from './define-versions.js';

type ScatterElements = Plugin<
  readonly ['data', 'indices', 'updates'],
  readonly ['output'],
  { readonly axis: OptionalField<number>; readonly reduction: Field<string> }
>;

const reductions = ['none', 'add', 'mul', 'max', 'min'];

/**
 * A copy of `data` in which each update takes part where its index along the axis, and its own place along the others, say.
 *
 * - `data`: any shape of rank 1 or more; float32, float16, bfloat16, int32 or int64, and what the standard layer takes
 *   besides.
 * - `indices`: int32 or int64, of the rank of data, from -s to s - 1 along an axis of s elements.
 * - `updates`: of the dtype of data and the shape of indices.
 * - `output`: like data.
 * - `reduction`: 'add', 'mul', 'max', 'min' or 'none', how an update joins what is there; needed. `axis` (0): negative ones
 *   count from the back.
 *
 * Lowered to the standard layer, which adds without rounding, or lets updates of one place join in their order, so that
 * sums do not differ from run to run. Versions 1 and 2 of TensorRT's plugin. Source: ScatterElements of ONNX; NVIDIA/TensorRT,
 * plugin/scatterElementsPlugin.
 */
export const scatterElementsVersions: readonly ScatterElements[] = defineVersions(['1', '2'], {
  name: 'ScatterElements',
  fields: { axis: field.int(0), reduction: field.string() },
  inputs: ['data', 'indices', 'updates'],
  outputs: ['output'],
  lower({ inputs: { data, indices, updates }, fields: { axis, reduction }, fail }, network) {
    if (!reductions.includes(reduction))
      fail(`reduction must be one of ${reductions.join(', ')}, is ${JSON.stringify(reduction)}`);
    if (axis < -data.dims.length || axis >= data.dims.length)
      fail(`axis ${String(axis)} is not one of ${String(data.dims.length)} axes`);
    if (!['int32', 'int64'].includes(indices.dtype)) fail(`indices must be int32 or int64, are ${indices.dtype}`);
    if (indices.dims.length !== data.dims.length) fail('indices must have the rank of data');
    if (updates.dims.length !== data.dims.length || !updates.dims.every((d, i) => provablyEqual(d, indices.dims[i]!)))
      fail('updates must have the shape of indices');
    const [output] = network.addOperator('scatterElements', [data, indices, updates], { axis, reduction });
    return { output: output! };
  },
});

/** The newest version; see `scatterElementsVersions`. */
export const scatterElements: ScatterElements = scatterElementsVersions.at(-1)!;
