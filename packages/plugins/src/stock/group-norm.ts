/** GroupNormalizationPlugin: normalization over groups of channels. */

import { isFloat, type NetworkLayers, type NetworkTensor } from '@tensorwright/core';
import { definePlugin } from '../define-plugin.js';
import { field, type OptionalField } from '../fields.js';
import type { Plugin } from '../plugin.js';

type GroupNorm = Plugin<
  readonly ['input', 'scale', 'bias'],
  readonly ['output'],
  { readonly eps: OptionalField<number>; readonly num_groups: OptionalField<number> }
>;

/**
 * `output = scale[c] · (x - mean) / √(variance + eps) + bias[c]`, mean and variance over all elements of a group of
 * neighbouring channels of a sample.
 *
 * - `input`: [N, C, …], float32, float16 or bfloat16; sums are made in float32.
 * - `scale`, `bias`: [C], float; cast to the dtype of the input where they have another.
 * - `output`: like `input`.
 * - `eps`: default 1e-5. `num_groups`: divides C; default 1.
 *
 * Lowered to the standard layer: layers that follow are computed with it, and it takes either layout.
 *
 * Version 1 of TensorRT's plugin. Source: Wu and He, Group Normalization, 2018; NVIDIA/TensorRT,
 * plugin/groupNormalizationPlugin.
 */
export const groupNorm: GroupNorm = definePlugin({
  name: 'GroupNormalizationPlugin',
  version: '1',
  fields: { eps: field.float(1e-5), num_groups: field.int(1) },
  inputs: ['input', 'scale', 'bias'],
  outputs: ['output'],
  lower({ inputs: { input, scale, bias }, fields: { eps: epsilon, num_groups: groups }, fail }, network) {
    const channels = input.dims[1];
    for (const [name, { dtype }] of Object.entries({ input, scale, bias }))
      if (!isFloat(dtype)) fail(`${name} must hold floats, is ${dtype}`);
    if (input.dims.length < 3) fail('input must have rank 3 or more: samples, channels, positions');
    if (groups < 1 || (typeof channels === 'number' && channels % groups !== 0))
      fail(`${String(groups)} groups do not divide ${String(channels)} channels`);
    const [gamma, beta] = [scale, bias].map((t) => inDtypeOf(input, t, network)) as [NetworkTensor, NetworkTensor];
    return { output: network.addNormalization(input, gamma, beta, [], { epsilon, groups }) };
  },
});

function inDtypeOf(x: NetworkTensor, t: NetworkTensor, network: NetworkLayers): NetworkTensor {
  return t.dtype === x.dtype ? t : network.addCast(t, x.dtype);
}
