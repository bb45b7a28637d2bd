/** ModulatedDeformConv2d against equation 1 of Deformable ConvNets v2. */

import { modulatedDeformConv } from '@tensorwright/plugins/stock';
import type { PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

interface Sizes {
  readonly batch?: number;
  readonly channels: number;
  readonly outputs: number;
  readonly image: readonly [number, number];
  readonly kernel?: readonly [number, number];
  readonly stride?: readonly [number, number];
  readonly padding?: readonly [number, number];
  readonly dilation?: readonly [number, number];
  readonly group?: number;
  readonly deformable_group?: number;
  readonly bias?: boolean;
  /** Pixels that taps are displaced by, at most. Default: 2. */
  readonly reach?: number;
  /** Whether the weights are known at build time. Default: true. */
  readonly known?: boolean;
}

function fieldsOf(sizes: Sizes): Problem['fields'] {
  const { stride = [1, 1], padding = [1, 1], dilation = [1, 1], group = 1, deformable_group = 1 } = sizes;
  return { stride, padding, dilation, group, deformable_group };
}

function problemOf(name: string, sizes: Sizes, random: Random): Problem {
  const { batch = 1, channels, outputs, image, bias = true, reach = 2, known = true } = sizes;
  const { kernel = [3, 3], stride = [1, 1], padding = [1, 1], dilation = [1, 1] } = sizes;
  const { group = 1, deformable_group: offsetGroup = 1 } = sizes;
  const out = [0, 1].map((i) => {
    const span = dilation[i]! * (kernel[i]! - 1) + 1;
    return Math.floor((image[i]! + 2 * padding[i]! - span) / stride[i]!) + 1;
  });
  const taps = kernel[0] * kernel[1];
  const scale = 1 / Math.sqrt((channels / group) * taps);
  return {
    name,
    fields: fieldsOf(sizes),
    inputs: {
      x: random.floats([batch, channels, ...image]),
      offset: random.floats([batch, 2 * offsetGroup * taps, ...out], -reach, reach),
      mask: random.floats([batch, offsetGroup * taps, ...out], 0, 1),
      weight: { ...random.floats([outputs, channels / group, ...kernel], -scale, scale), isConstant: known },
      ...(bias && { bias: { ...random.floats([outputs]), isConstant: known } }),
    },
  };
}

function problems(random: Random): Problem[] {
  const name = 'DCN ResNet-50, third stage, 2 x 256 x 50 x 84';
  const large: Sizes = { batch: 2, channels: 256, outputs: 256, image: [50, 84] };
  const small: Sizes = { channels: 16, outputs: 24, image: [7, 9] };
  const dynamic = problemOf('extents of the run', { ...small, batch: 2 }, random);
  const declared: Readonly<Record<string, readonly (number | string)[]>> = {
    x: ['N', 16, 'H', 'W'],
    offset: ['N', 18, 'H', 'W'],
    mask: ['N', 9, 'H', 'W'],
  };
  return [
    problemOf('3 x 3', small, random),
    problemOf('no bias, 2 images', { ...small, batch: 2, bias: false }, random),
    problemOf('odd channels', { ...small, channels: 5, outputs: 3 }, random),
    problemOf('a stride, unequal axes', { ...small, kernel: [3, 2], stride: [2, 1], padding: [0, 2] }, random),
    problemOf('a dilation', { ...small, dilation: [2, 3], padding: [2, 3] }, random),
    problemOf('two groups of channels', { ...small, channels: 64, outputs: 48, group: 2 }, random),
    problemOf('deformable groups', { ...small, channels: 48, deformable_group: 3 }, random),
    problemOf('groups across deformable groups', { ...small, channels: 48, group: 2, deformable_group: 3 }, random),
    problemOf('one filter a channel', { ...small, channels: 12, outputs: 12, group: 12, deformable_group: 2 }, random),
    problemOf('many channels', { ...small, channels: 160, outputs: 136, image: [5, 6] }, random),
    problemOf('taps far outside', { ...small, reach: 40 }, random),
    problemOf('1 x 1', { ...small, kernel: [1, 1], padding: [0, 0] }, random),
    problemOf('weights of the run', { ...small, known: false }, random),
    problemOf('no images', { ...small, batch: 0 }, random),
    problemOf('no channels, 2 deformable groups', { ...small, channels: 0, deformable_group: 2 }, random),
    {
      ...dynamic,
      inputs: Object.fromEntries(
        Object.entries(dynamic.inputs).map(([n, o]) => [n, declared[n] ? { ...o, declared: declared[n] } : o]),
      ),
    },
    timed(name, fieldsOf(large), (r) => problemOf(name, large, r).inputs),
  ];
}

/** Every pixel of the image counts by its nearness to the place of a tap. */
function reference({ inputs, fields }: Problem): { output: Float64Array } {
  const [batch, channels, height, width] = inputs['x']!.dims as [number, number, number, number];
  const [outputs, perGroup, tapsY, tapsX] = inputs['weight']!.dims as [number, number, number, number];
  const [, , down, across] = inputs['offset']!.dims as [number, number, number, number];
  const [stride, padding, dilation] = ['stride', 'padding', 'dilation'].map((name) => fields[name] as number[]);
  const { group, deformable_group: offsetGroup } = fields as { group: number; deformable_group: number };
  const [x, offset, mask] = ['x', 'offset', 'mask'].map((name) => inputs[name]!.values);
  const weight = inputs['weight']!.values;
  const taps = tapsY * tapsX;
  const output = new Float64Array(batch * outputs * down * across);
  const samples = new Float64Array(channels * taps);
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < down; i++)
      for (let j = 0; j < across; j++) {
        samples.fill(0);
        for (let g = 0; g < offsetGroup; g++)
          for (let t = 0; t < taps; t++) {
            const at = (k: number, of: number): number => ((n * of * offsetGroup * taps + k) * down + i) * across + j;
            const shift = [0, 1].map((axis) => offset![at((g * taps + t) * 2 + axis, 2)]!);
            const v = i * stride![0]! - padding![0]! + Math.floor(t / tapsX) * dilation![0]! + shift[0]!;
            const u = j * stride![1]! - padding![1]! + (t % tapsX) * dilation![1]! + shift[1]!;
            for (let p = Math.max(0, Math.floor(v)); p <= Math.min(height - 1, Math.ceil(v)); p++)
              for (let q = Math.max(0, Math.floor(u)); q <= Math.min(width - 1, Math.ceil(u)); q++) {
                const near = (1 - Math.abs(v - p)) * (1 - Math.abs(u - q)) * mask![at(g * taps + t, 1)]!;
                for (let c = (g * channels) / offsetGroup; c < ((g + 1) * channels) / offsetGroup; c++)
                  samples[c * taps + t]! += near * x![((n * channels + c) * height + p) * width + q]!;
              }
          }
        for (let m = 0; m < outputs; m++) {
          const first = Math.floor(m / (outputs / group)) * perGroup;
          let sum = inputs['bias']?.values[m] ?? 0;
          const [ofWeight, ofSample, depth] = [m * perGroup * taps, first * taps, perGroup * taps];
          for (let k = 0; k < depth; k++) sum += weight[ofWeight + k]! * samples[ofSample + k]!;
          output[((n * outputs + m) * down + i) * across + j] = sum;
        }
      }
  return { output };
}

export const modulatedDeformConvCase: PluginCase = {
  name: 'modulated-deform-conv',
  plugin: modulatedDeformConv,
  problems,
  reference,
  standard: 'lowered to the layer deformConv',
};
