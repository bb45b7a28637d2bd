/** InstanceNormalization_TRT: normalization of each channel by itself. */

import { isFloat, readNumbers, type Tensor, tensorFromNumbers } from '@tensorwright/core';
import { type Field, field, type OptionalField } from '../fields.js';
import type { Plugin } from '../plugin.js';
import { defineVersions } from './define-versions.js';

type InstanceNorm = Plugin<
  readonly ['input'],
  readonly ['output'],
  {
    readonly epsilon: OptionalField<number>;
    readonly scales: Field<Tensor>;
    readonly bias: Field<Tensor>;
    readonly relu: OptionalField<number>;
    readonly alpha: OptionalField<number>;
  }
>;

/**
 * `output = scales[c] · (x - mean) / √(variance + epsilon) + bias[c]`, mean and variance over the positions of a channel
 * of a sample; with `relu` 1 negative results are multiplied by `alpha`.
 *
 * - `input`: [N, C, …], float32, float16 or bfloat16; sums are made in float32.
 * - `output`: like `input`.
 * - `scales`, `bias`: C elements each; they are rounded to the dtype of the input.
 * - `epsilon`: default 1e-5. `relu`: default 0. `alpha`: default 0.
 *
 * Lowered to the standard layers: those that follow are computed with it, and it takes either layout.
 *
 * Versions 1, 2 and 3 of TensorRT's plugin. Source: Ulyanov, Vedaldi and Lempitsky, Instance Normalization, 2016;
 * NVIDIA/TensorRT, plugin/instanceNormalizationPlugin.
 */
export const instanceNormVersions: readonly InstanceNorm[] = defineVersions(['1', '2', '3'], {
  name: 'InstanceNormalization_TRT',
  fields: {
    epsilon: field.float(1e-5),
    scales: field.tensor(),
    bias: field.tensor(),
    relu: field.int(0),
    alpha: field.float(0),
  },
  inputs: ['input'],
  outputs: ['output'],
  lower({ inputs: { input }, fields: { epsilon, scales, bias, relu, alpha }, fail }, network) {
    const groups = scales.size;
    if (!isFloat(input.dtype)) fail(`input must hold floats, is ${input.dtype}`);
    if (input.dims.length < 3) fail('input must have rank 3 or more: samples, channels, positions');
    if (bias.size !== groups || (typeof input.dims[1] === 'number' && input.dims[1] !== groups))
      fail(`scales has ${String(groups)} elements, bias ${String(bias.size)}, input ${String(input.dims[1])} channels`);
    const [gamma, beta] = [scales, bias].map((weights) =>
      network.addConstant(tensorFromNumbers(input.dtype, readNumbers(weights), [groups])),
    );
    const normalized = network.addNormalization(input, gamma!, beta, [], { epsilon, groups });
    return { output: relu === 0 ? normalized : network.addActivation(normalized, 'leakyRelu', { alpha }) };
  },
});

/** The newest version; see `instanceNormVersions`. */
export const instanceNorm: InstanceNorm = instanceNormVersions.at(-1)!;
