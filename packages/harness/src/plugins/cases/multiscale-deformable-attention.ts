/** MultiscaleDeformableAttnPlugin_TRT against equation 3 of Deformable DETR. */

import { type NetworkTensor, Tensor } from '@tensorwright/core';
import { multiscaleDeformableAttention } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

interface Sizes {
  readonly batch: number;
  readonly queries: number;
  readonly heads: number;
  readonly channels: number;
  readonly points: number;
  /** Height and width of each level. */
  readonly levels: readonly (readonly [number, number])[];
  /** Pixels of `value` between the levels and behind them, which nothing reads; negative: there are fewer. Default: 0. */
  readonly gap?: number;
  /** Locations run from -margin to 1 + margin. Default: 0.3. */
  readonly margin?: number;
}

const integers = (values: readonly number[], dims: readonly number[], dtype: 'int32' | 'int64' = 'int32'): Operand => ({
  dtype,
  dims,
  values: Float64Array.from(values),
});

function problemOf(name: string, sizes: Sizes, random: Random): Problem {
  const { batch, queries, heads, channels, points, levels, gap = 0, margin = 0.3 } = sizes;
  const starts: number[] = [];
  let pixels = 0;
  for (const [height, width] of levels) {
    starts.push(pixels);
    pixels += height * width + gap;
  }
  const each = [batch, queries, heads, levels.length, points];
  return {
    name,
    fields: {},
    inputs: {
      value: random.floats([batch, pixels, heads, channels]),
      spatial_shapes: integers(levels.flat(), [levels.length, 2]),
      level_start_index: integers(starts, [levels.length]),
      sampling_locations: random.floats([...each, 2], -margin, 1 + margin),
      attention_weights: random.floats(each, 0, 1 / (levels.length * points)),
    },
  };
}

function problems(random: Random): Problem[] {
  const small = { batch: 1, queries: 5, heads: 2, channels: 8, points: 2 } as const;
  const border = problemOf('pixel centres, edges and what is no number', { ...small, levels: [[3, 4]] }, random);
  // Centres of the first and the last pixel, both edges, half a pixel outside of them, and what no sample may come from.
  const places = [0.5 / 4, 3.5 / 4, 0, 1, -0.5 / 4, 1.125, -1, 2, NaN, Infinity];
  border.inputs['sampling_locations']!.values.forEach((_, i, all) => (all[i] = places[(i * 7) % places.length]!));
  const outside = problemOf('all outside', { ...small, levels: [[3, 3]] }, random);
  outside.inputs['sampling_locations']!.values.forEach((v, i, all) => (all[i] = v < 0.5 ? v - 1 : v + 1));
  const dynamic = problemOf('extents of the run', { ...small, queries: 19, levels: [[4, 5]] }, random);
  const declared: Readonly<Record<string, readonly (number | string)[]>> = {
    value: ['N', 'S', 2, 8],
    sampling_locations: ['N', 'Q', 2, 1, 2, 2],
    attention_weights: ['N', 'Q', 2, 1, 2],
  };
  const constant = problemOf(
    'shapes known at build time, int64',
    {
      ...small,
      levels: [
        [2, 7],
        [1, 3],
      ],
    },
    random,
  );
  const known = ['spatial_shapes', 'level_start_index'];
  const withInputs = (p: Problem, change: (name: string, o: Operand) => Operand): Problem => ({
    ...p,
    inputs: Object.fromEntries(Object.entries(p.inputs).map(([name, o]) => [name, change(name, o)])),
  });
  return [
    problemOf(
      '3 levels',
      {
        ...small,
        batch: 2,
        levels: [
          [7, 5],
          [4, 3],
          [1, 1],
        ],
      },
      random,
    ),
    problemOf(
      '16 channels, gaps',
      {
        ...small,
        queries: 33,
        channels: 16,
        points: 3,
        levels: [
          [6, 6],
          [3, 2],
        ],
        gap: 3,
      },
      random,
    ),
    problemOf(
      'levels that end beyond the pixels',
      {
        ...small,
        batch: 2,
        levels: [
          [6, 6],
          [3, 2],
        ],
        gap: -4,
      },
      random,
    ),
    problemOf('3 channels', { ...small, queries: 90, heads: 3, channels: 3, points: 1, levels: [[5, 9]] }, random),
    problemOf(
      'many points',
      {
        ...small,
        queries: 40,
        channels: 32,
        points: 9,
        levels: [
          [5, 9],
          [2, 2],
        ],
      },
      random,
    ),
    problemOf('wide heads', { ...small, queries: 2, heads: 1, channels: 600, levels: [[3, 3]] }, random),
    problemOf('no queries', { ...small, queries: 0, levels: [[3, 3]] }, random),
    outside,
    border,
    withInputs(dynamic, (name, o) => (declared[name] ? { ...o, declared: declared[name] } : o)),
    withInputs(constant, (name, o) => (known.includes(name) ? { ...o, dtype: 'int64', isConstant: true } : o)),
    timed('encoder of Deformable DETR, 800 x 1066', {}, (r) => encoder(r).inputs),
  ];
}

/** Of Deformable DETR, for an image of 800 x 1066: each pixel is a query, and looks around its own place. */
function encoder(random: Random): Problem {
  const levels = [
    [100, 134],
    [50, 67],
    [25, 34],
    [13, 17],
  ] as const;
  const queries = levels.flatMap(([height, width]) =>
    Array.from({ length: height * width }, (_, i) => [
      ((i % width) + 0.5) / width,
      (Math.floor(i / width) + 0.5) / height,
    ]),
  );
  const sizes = { batch: 1, queries: queries.length, heads: 8, channels: 32, points: 4 };
  const problem = problemOf('encoder of Deformable DETR, 800 x 1066', { ...sizes, levels }, random);
  // Points of a query are up to 4 pixels of their level away.
  problem.inputs['sampling_locations']!.values.forEach((_, i, all) => {
    const [level, query] = [Math.floor(i / 8) % 4, Math.floor(i / 8 / 4 / 8)];
    all[i] = queries[query]![i % 2]! + (8 * random.next() - 4) / levels[level]![1 - (i % 2)]!;
  });
  return problem;
}

/** Each pixel that there is counts by how near it is: (1 - |dx|)(1 - |dy|), and nothing from a distance of one on. */
function reference({ inputs }: Problem): { output: Float64Array } {
  const [batch, pixels, heads, channels] = inputs['value']!.dims as [number, number, number, number];
  const [, queries, , levels, points] = inputs['attention_weights']!.dims as [number, number, number, number, number];
  const [value, locations] = [inputs['value']!.values, inputs['sampling_locations']!.values];
  const [shapes, starts] = [inputs['spatial_shapes']!.values, inputs['level_start_index']!.values];
  const output = new Float64Array(batch * queries * heads * channels);
  let at = 0;
  for (let n = 0; n < batch; n++)
    for (let q = 0; q < queries; q++)
      for (let m = 0; m < heads; m++)
        for (let l = 0; l < levels; l++)
          for (let p = 0; p < points; p++, at++) {
            const [height, width] = [shapes[2 * l]!, shapes[2 * l + 1]!];
            const [x, y] = [locations[2 * at]! * width - 0.5, locations[2 * at + 1]! * height - 0.5];
            if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
            for (let i = Math.max(0, Math.ceil(y - 1)); i <= Math.min(height - 1, Math.floor(y + 1)); i++)
              for (let j = Math.max(0, Math.ceil(x - 1)); j <= Math.min(width - 1, Math.floor(x + 1)); j++) {
                const near = Math.max(0, 1 - Math.abs(x - j)) * Math.max(0, 1 - Math.abs(y - i));
                const weight = near * inputs['attention_weights']!.values[at]!;
                const pixel = starts[l]! + i * width + j;
                if (pixel >= pixels) continue;
                const from = ((n * pixels + pixel) * heads + m) * channels;
                const to = ((n * queries + q) * heads + m) * channels;
                for (let c = 0; c < channels; c++) output[to + c]! += weight * value[from + c]!;
              }
          }
  return { output };
}

/** As models are exported that know no such plugin: a grid sample for each level. */
const standard: PluginCase['standard'] = (network, inputs, problem) => {
  const [batch, , heads, channels] = problem.inputs['value']!.dims as [number, number, number, number];
  const [, queries, , levels, points] = problem.inputs['attention_weights']!.dims as [
    number,
    number,
    number,
    number,
    number,
  ];
  const [shapes, starts] = ['spatial_shapes', 'level_start_index'].map((name) => problem.inputs[name]!.values);
  const number = (value: number): NetworkTensor =>
    network.addConstant(new Tensor('float32', Float32Array.of(value), [1, 1, 1, 1]));
  const sums = Array.from({ length: levels }, (_, l) => {
    const [height, width] = [shapes![2 * l]!, shapes![2 * l + 1]!];
    const value = network.addShuffle(
      network.addSlice(inputs['value']!, {
        start: [0, starts![l]!, 0, 0],
        size: [batch, height * width, heads, channels],
      }),
      { firstTranspose: [0, 2, 3, 1], reshape: [batch * heads, channels, height, width] },
    );
    const locations = network.addShuffle(
      network.addSlice(inputs['sampling_locations']!, {
        start: [0, 0, 0, l, 0, 0],
        size: [batch, queries, heads, 1, points, 2],
      }),
      { firstTranspose: [0, 2, 1, 3, 4, 5], reshape: [batch * heads, queries, points, 2] },
    );
    const weights = network.addShuffle(
      network.addSlice(inputs['attention_weights']!, {
        start: [0, 0, 0, l, 0],
        size: [batch, queries, heads, 1, points],
      }),
      { firstTranspose: [0, 2, 3, 1, 4], reshape: [batch * heads, 1, queries, points] },
    );
    const twice = network.addElementWise(network.addCast(locations, 'float32'), number(2), 'prod');
    const grid = network.addElementWise(twice, number(1), 'sub');
    const attributes = { mode: 'linear', paddingMode: 'zeros', alignCorners: false };
    const [sampled] = network.addOperator('gridSample', [value, grid], attributes);
    return network.addReduce(network.addElementWise(sampled!, weights, 'prod'), 'sum', [3]);
  });
  const sum = sums.reduce((a, b) => network.addElementWise(a, b, 'sum'));
  return {
    output: network.addShuffle(sum, { reshape: [batch, heads, channels, queries], secondTranspose: [0, 3, 1, 2] }),
  };
};

export const multiscaleDeformableAttentionCase: PluginCase = {
  name: 'multiscale-deformable-attention',
  plugin: multiscaleDeformableAttention,
  problems,
  reference,
  standard,
};
