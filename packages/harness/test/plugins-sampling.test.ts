/** The formulas of the plugins that sample images against ONNX Runtime, and one of them in a model made for TensorRT. */

import { evaluateGraph, readNumbers, Tensor, tensorFromNumbers } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { PluginRegistry } from '@tensorwright/plugins';
import { registerStockPlugins } from '@tensorwright/plugins/stock';
import { describe, expect, it } from 'vitest';
import { onnx } from '../../parser-onnx/src/proto/decode.js';
import { runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import { modelBytes, node, tensorInfo } from '../../parser-onnx/test/support/handmade-model.js';
import type { PluginCase, Problem } from '../src/plugins/case.js';
import { modulatedDeformConvCase } from '../src/plugins/cases/modulated-deform-conv.js';
import { multiscaleDeformableAttentionCase } from '../src/plugins/cases/multiscale-deformable-attention.js';
import { pillarScatterCase } from '../src/plugins/cases/pillar-scatter.js';
import { Random } from '../src/plugins/random.js';

const problemsOf = (subject: PluginCase): Problem[] =>
  subject.problems(new Random(1)).filter((p) => !p.timed && Object.values(p.inputs).every((o) => !o.dims.includes(0)));

function expectNear(got: ArrayLike<number>, wanted: Float64Array | undefined, tolerance = 1e-5): void {
  expect(got.length).toBe(wanted!.length);
  wanted!.forEach((v, i) => expect(Math.abs(got[i]! - v)).toBeLessThan(tolerance));
}

describe('the formula of MultiscaleDeformableAttnPlugin_TRT', () => {
  const finite = problemsOf(multiscaleDeformableAttentionCase)
    .filter((p) => p.inputs['sampling_locations']!.values.every(Number.isFinite))
    .filter((p) => !p.name.includes('beyond'));

  it.each(finite)("is ONNX Runtime's GridSample of each level, summed: $name", async (problem) => {
    const [batch, pixels, heads, channels] = problem.inputs['value']!.dims as [number, number, number, number];
    const [, queries, , levels, points] = problem.inputs['attention_weights']!.dims as number[];
    const at = (name: string, i: number): number => problem.inputs[name]!.values[i]!;
    const sums = new Float64Array(batch * queries! * heads * channels);
    for (let l = 0; l < levels!; l++) {
      const [height, width] = [at('spatial_shapes', 2 * l), at('spatial_shapes', 2 * l + 1)];
      // Heads are images of a batch; locations run from -1 to 1.
      const image = new Float32Array(batch * heads * channels * height * width);
      const grid = new Float32Array(batch * heads * queries! * points! * 2);
      for (let i = 0; i < image.length; i++) {
        const [pixel, c] = [i % (height * width), Math.floor(i / height / width) % channels];
        const head = Math.floor(i / height / width / channels);
        const row = Math.floor(head / heads) * pixels + at('level_start_index', l) + pixel;
        image[i] = at('value', (row * heads + (head % heads)) * channels + c);
      }
      const place = (head: number, q: number, p: number): number =>
        (((Math.floor(head / heads) * queries! + q) * heads + (head % heads)) * levels! + l) * points! + p;
      for (let i = 0; i < grid.length; i++) {
        const [p, q] = [Math.floor(i / 2) % points!, Math.floor(i / 2 / points!) % queries!];
        const head = Math.floor(i / 2 / points! / queries!);
        grid[i] = 2 * at('sampling_locations', 2 * place(head, q, p) + (i % 2)) - 1;
      }
      const [sampled] = await runOrt({
        ...{ op: 'GridSample', opset: 16, attributes: { mode: 'bilinear', padding_mode: 'zeros', align_corners: 0 } },
        inputs: [
          new Tensor('float32', image, [batch * heads, channels, height, width]),
          new Tensor('float32', grid, [batch * heads, queries!, points!, 2]),
        ],
      });
      readNumbers(sampled!).forEach((v, i) => {
        const [p, q] = [i % points!, Math.floor(i / points!) % queries!];
        const [c, head] = [
          Math.floor(i / points! / queries!) % channels,
          Math.floor(i / points! / queries! / channels),
        ];
        const to = ((Math.floor(head / heads) * queries! + q) * heads + (head % heads)) * channels + c;
        sums[to]! += at('attention_weights', place(head, q, p)) * v;
      });
    }
    expectNear(sums, multiscaleDeformableAttentionCase.reference(problem)['output']);
  });
});

describe('the formula of PillarScatterPlugin', () => {
  const inside = problemsOf(pillarScatterCase).filter(({ name }) => !/outside|counts|no map/.test(name));

  it.each(inside)("is ONNX Runtime's ScatterND into a map of zeros: $name", async (problem) => {
    const { voxels, voxel_coords: coordinates, num_pillar: counts } = problem.inputs;
    const [batch, most, channels] = voxels!.dims as [number, number, number];
    const [height, width] = problem.fields['dense_shape'] as [number, number];
    const there = Array.from({ length: batch * most }, (_, i) => i).filter(
      (i) => i % most < counts!.values[Math.floor(i / most)]!,
    );
    if (there.length === 0) return;
    const indices = there.flatMap((i) => [Math.floor(i / most), ...coordinates!.values.subarray(4 * i + 2, 4 * i + 4)]);
    const updates = there.flatMap((i) => [...voxels!.values.subarray(i * channels, (i + 1) * channels)]);
    const size = batch * height * width * channels;
    const [map] = await runOrt({
      ...{ op: 'ScatterND', opset: 16 },
      inputs: [
        new Tensor('float32', new Float32Array(size), [batch, height, width, channels]),
        tensorFromNumbers('int64', Float64Array.from(indices), [there.length, 3]),
        tensorFromNumbers('float32', Float64Array.from(updates), [there.length, channels]),
      ],
    });
    const area = height * width;
    const planes = Float64Array.from({ length: size }, (_, i) => {
      const [cell, c, n] = [i % area, Math.floor(i / area) % channels, Math.floor(i / area / channels)];
      return readNumbers(map!)[(n * area + cell) * channels + c]!;
    });
    expectNear(planes, pillarScatterCase.reference(problem)['dense_feature_map']);
  });
});

it('a ModulatedDeformConv2d of a model made for TensorRT becomes the plugin', async () => {
  const { INT, INTS, STRING } = onnx.AttributeProto.AttributeType;
  const problem = problemsOf(modulatedDeformConvCase).find((p) => p.name === 'a stride, unequal axes')!;
  const names = ['x', 'offset', 'mask', 'weight', 'bias'];
  const attribute = [
    ...Object.entries(problem.fields).map(([name, value]) =>
      typeof value === 'number' ? { name, type: INT, i: value } : { name, type: INTS, ints: value as number[] },
    ),
    { name: 'plugin_version', type: STRING, s: new TextEncoder().encode('1') },
  ];
  const call = node('ModulatedDeformConv2d', names, ['y'], { attribute, domain: 'mmdeploy' });
  const registry = new PluginRegistry();
  registerStockPlugins(registry);
  const bytes = modelBytes(
    { node: [call], input: names.map((name) => tensorInfo(name, problem.inputs[name]!.dims)) },
    {
      opsetImport: [
        { domain: '', version: 17 },
        { domain: 'mmdeploy', version: 1 },
      ],
    },
  );
  const { graph } = await OnnxParser.parse(bytes, { plugins: registry });
  const inputs = names.map((name) =>
    tensorFromNumbers('float32', problem.inputs[name]!.values, problem.inputs[name]!.dims),
  );
  const [y] = evaluateGraph(graph, inputs);
  expectNear(readNumbers(y as Tensor), modulatedDeformConvCase.reference(problem)['output']);
});
