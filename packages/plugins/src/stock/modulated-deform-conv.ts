/** ModulatedDeformConv2d: deformable convolution, version 2. */

import { type Dim, isFloat, provablyEqual } from '@tensorwright/core';
import { field, type OptionalField } from '../fields.js';
import type { Plugin } from '../plugin.js';
import { defineVersions } from './define-versions.js';
import { checkExtents } from './extents.js';

interface ModulatedDeformConvFields {
  readonly stride: OptionalField<readonly number[]>;
  readonly padding: OptionalField<readonly number[]>;
  readonly dilation: OptionalField<readonly number[]>;
  readonly group: OptionalField<number>;
  readonly deformable_group: OptionalField<number>;
  readonly [name: string]: OptionalField<unknown>;
}
type Inputs = readonly ['x', 'offset', 'mask', 'weight', 'bias?'];
type ModulatedDeformConv = Plugin<Inputs, readonly ['output'], ModulatedDeformConvFields>;

/**
 * Convolution whose taps are displaced and weighted at each output pixel: `output[n, m, y, x] = bias[m] + Σ over channels
 * c and taps t of weight[m, c, t] · mask[n, g, t, y, x] · sample(x[n, c], place of t + offset[n, g, t, :, y, x])`, with
 * bilinear samples, 0 outside of the image and where a displacement is NaN, and g the deformable group of c. Neighbours of
 * weight 0 count as well: a sample that lies exactly on a pixel is NaN beside an infinite one.
 *
 * - `x` [N, C, H, W]; float32, float16 or bfloat16, like all others.
 * - `offset` [N, 2 · deformable_group · kernel height · kernel width, Ho, Wo]: of each tap its displacement down, then to
 *   the right, in pixels.
 * - `mask` [N, deformable_group · kernel height · kernel width, Ho, Wo].
 * - `weight` [M, C / group, kernel height, kernel width]. `bias` [M]; default: none.
 * - `output` [N, M, Ho, Wo].
 * - `stride` (default [1, 1]), `padding` (default [0, 0]) and `dilation` (default [1, 1]): along height, then width, in
 *   pixels. TensorRT's plugin takes them as width, then height, other than what its models are exported from.
 * - `group`, `deformable_group`: equal parts of the channels that are convolved on their own, and displaced on their own.
 *   Default: 1.
 *
 * It becomes the standard operator deformConv (ONNX's DeformConv). Refused: shapes and dtypes that do not fit. Versions 1
 * and 2 of TensorRT's plugin. Source: Zhu et al., Deformable ConvNets v2, 2018; NVIDIA/TensorRT,
 * plugin/modulatedDeformConvPlugin.
 */
export const modulatedDeformConvVersions: readonly ModulatedDeformConv[] = defineVersions(['1', '2'], {
  name: 'ModulatedDeformConv2d',
  fields: {
    stride: field.ints([1, 1]),
    padding: field.ints([0, 0]),
    dilation: field.ints([1, 1]),
    group: field.int(1),
    deformable_group: field.int(1),
  },
  inputs: ['x', 'offset', 'mask', 'weight', 'bias?'],
  outputs: ['output'],
  lower({ inputs: { x, offset, mask, weight, bias }, fields, fail }, network) {
    const { stride, padding, dilation, group, deformable_group: offsetGroup } = fields;
    for (const [name, list, least] of [
      ['stride', stride, 1],
      ['padding', padding, 0],
      ['dilation', dilation, 1],
    ] as const)
      if (list.length !== 2 || list.some((n) => n < least))
        fail(`${name} must be two numbers of at least ${String(least)}: along height and width`);
    if (group < 1 || offsetGroup < 1) fail('group and deformable_group must be at least 1');
    if (!isFloat(x.dtype)) fail(`x must hold floats, is ${x.dtype}`);
    for (const [name, t] of Object.entries({ x, offset, mask, weight })) {
      if (t.dims.length !== 4) fail(`${name} must have rank 4`);
      if (t.dtype !== x.dtype) fail(`x is ${x.dtype}, ${name} ${t.dtype}`);
    }
    const [outputs, , ...kernel] = weight.dims as [Dim, Dim, Dim, Dim];
    if (!kernel.every((d) => typeof d === 'number')) fail('the extents of the kernel must be known at build time');
    const taps = (kernel as number[]).reduce((a, b) => a * b, 1);
    const channels = x.dims[1]!;
    if (typeof channels === 'number' && (channels % group !== 0 || channels % offsetGroup !== 0))
      fail(`${String(channels)} channels are no whole number of groups`);
    if (typeof outputs === 'number' && outputs % group !== 0)
      fail(`${String(outputs)} output channels are no whole number of groups`);
    const [height, width] = [offset.dims[2]!, offset.dims[3]!];
    // What only the run knows, the layer's own inference has checked.
    const context = { agree: (d: Dim): Dim => d, fail };
    checkExtents('offset', offset.dims, [x.dims[0]!, 2 * offsetGroup * taps, height, width], context);
    checkExtents('mask', mask.dims, [x.dims[0]!, offsetGroup * taps, height, width], context);
    if (bias && (bias.dtype !== x.dtype || bias.dims.length !== 1 || !provablyEqual(bias.dims[0]!, outputs)))
      fail(`bias must have an element of ${x.dtype} for each output channel`);
    const [output] = network.addOperator('deformConv', [x, weight, offset, bias, mask], {
      ...{ strides: stride, dilations: dilation, pads: [...padding, ...padding] },
      ...{ group, offsetGroup },
    });
    return { output: output! };
  },
});

/** The newest version; see `modulatedDeformConvVersions`. */
export const modulatedDeformConv: ModulatedDeformConv = modulatedDeformConvVersions.at(-1)!;
