/** GroupNorm and InstanceNorm: the same formula over other groups of channels. */

import { Tensor } from '@tensorwright/core';
import { groupNorm, instanceNorm } from '@tensorwright/plugins/stock';
import type { PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';

interface More {
  readonly groups?: number;
  readonly declared?: readonly (number | string)[];
  readonly offset?: number;
  readonly timed?: boolean;
}

function grouped(name: string, random: Random, dims: readonly number[], more: More = {}): Problem {
  const { groups = 1, declared, offset = 0, timed = false } = more;
  const channels = [dims[1]!];
  return {
    name,
    inputs: {
      input: { ...random.floats(dims, offset - 1, offset + 1), ...(declared && { declared }) },
      scale: { ...random.floats(channels, 0.5, 1.5), isConstant: timed },
      bias: { ...random.floats(channels), isConstant: timed },
    },
    fields: { num_groups: groups, eps: 1e-3 },
    timed,
  };
}

function single(name: string, random: Random, dims: readonly number[], more: More & { alpha?: number } = {}): Problem {
  const { declared, alpha, timed = false } = more;
  const weights = (low: number): Tensor =>
    new Tensor('float32', Float32Array.from(random.numbers(dims[1]!, low, low + 1)), [dims[1]!]);
  return {
    name,
    inputs: { input: { ...random.floats(dims), ...(declared && { declared }) } },
    fields: { scales: weights(0.5), bias: weights(-0.5), ...(alpha !== undefined && { relu: 1, alpha }) },
    timed,
  };
}

function normalize(
  x: Float64Array,
  [samples, channels]: readonly [number, number],
  groups: number,
  weights: { readonly scale: ArrayLike<number>; readonly bias: ArrayLike<number>; readonly epsilon: number },
): Float64Array {
  const size = x.length / samples / groups;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += size) {
    const group = x.subarray(start, start + size);
    const mean = group.reduce((a, b) => a + b, 0) / size;
    const deviation = Math.sqrt(group.reduce((a, b) => a + (b - mean) ** 2, 0) / size + weights.epsilon);
    group.forEach((v, i) => {
      const channel = Math.floor((start + i) / (x.length / samples / channels)) % channels;
      y[start + i] = ((v - mean) / deviation) * weights.scale[channel]! + weights.bias[channel]!;
    });
  }
  return y;
}

export const groupNormCase: PluginCase = {
  name: 'group-norm',
  plugin: groupNorm,
  floats: ['float32', 'float16', 'bfloat16'],
  problems: (random) => [
    grouped('three groups', random, [2, 12, 5, 7], { groups: 3 }),
    grouped('all channels', random, [3, 5, 4, 4], { offset: 20 }),
    grouped('each channel', random, [1, 4, 33], { groups: 4 }),
    grouped('samples of the run', random, [2, 8, 6, 6], { groups: 2, declared: ['samples', 8, 'height', 'width'] }),
    grouped('diffusion 2 x 320 x 64 x 64', random, [2, 320, 64, 64], { groups: 32, timed: true }),
  ],
  reference: ({ inputs: { input, scale, bias }, fields }) => ({
    output: normalize(input!.values, input!.dims as [number, number], fields['num_groups'] as number, {
      ...{ scale: scale!.values, bias: bias!.values, epsilon: fields['eps'] as number },
    }),
  }),
  standard: 'lowered to the layer',
};

export const instanceNormCase: PluginCase = {
  name: 'instance-norm',
  plugin: instanceNorm,
  floats: ['float32', 'float16', 'bfloat16'],
  problems: (random) => [
    single('image', random, [2, 3, 9, 11]),
    single('leaky', random, [2, 5, 4, 4, 3], { alpha: 0.2 }),
    single('positive', random, [1, 2, 65], { alpha: 0 }),
    single('samples of the run', random, [3, 4, 8, 8], { declared: ['samples', 4, 8, 8] }),
    single('style transfer 1 x 128 x 256 x 256', random, [1, 128, 256, 256], { alpha: 0, timed: true }),
  ],
  reference({ inputs: { input }, fields }) {
    const channels = input!.dims[1]!;
    const y = normalize(input!.values, input!.dims as [number, number], channels, {
      scale: (fields['scales'] as Tensor).data as Float32Array,
      bias: (fields['bias'] as Tensor).data as Float32Array,
      epsilon: 1e-5,
    });
    const slope = fields['relu'] === 1 ? (fields['alpha'] as number) : 1;
    return { output: y.map((v) => (v < 0 ? slope * v : v)) };
  },
  standard: 'lowered to the layers',
};
