/** ROIAlign_TRT and CropAndResizeDynamic against ONNX Runtime's operators, and the kernels of the layer that it is lowered to. */

import { type DType, Tensor, tensorFromNumbers } from '@tensorwright/core';
import { cudaBackend } from '@tensorwright/backend-cuda';
import { describe, expect, it } from 'vitest';
import { compare } from '../../backend-cuda/test/compare.js';
import { runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import type { Operand, Problem } from '../src/plugins/case.js';
import { cropAndResizeCase, roiAlignCase } from '../src/plugins/cases/regions.js';
import { Random } from '../src/plugins/random.js';

const tensorOf = ({ values, dims }: Operand, dtype: DType): Tensor => tensorFromNumbers(dtype, values, dims);

describe('the formula of ROIAlign_TRT', () => {
  const images = (p: Problem): Operand => p.inputs['batch_indices']!;
  const known = roiAlignCase
    .problems(new Random(1))
    .filter((p) => !p.timed && ['X', 'rois'].every((name) => p.inputs[name]!.values.length > 0))
    .filter((p) => p.inputs['rois']!.values.every(Number.isFinite))
    .filter((p) => images(p).values.every((i) => i >= 0 && i < 2));

  it.each(known)("is ONNX Runtime's: $name", async (problem) => {
    const { inputs, fields } = problem;
    const isHalf = fields['coordinate_transformation_mode'] !== 0;
    const scale = fields['spatial_scale'] as number | undefined;
    const sizes = ['output_height', 'output_width', 'sampling_ratio'].filter((name) => name in fields);
    const [y] = await runOrt({
      op: 'RoiAlign',
      opset: 16,
      inputs: [
        tensorOf(inputs['X']!, 'float32'),
        tensorOf(inputs['rois']!, 'float32'),
        tensorOf(images(problem), 'int64'),
      ],
      attributes: {
        ...Object.fromEntries(sizes.map((name) => [name, fields[name] as number])),
        ...(scale !== undefined && { spatial_scale: { float: scale } }),
        mode: fields['mode'] === 0 ? 'max' : 'avg',
        coordinate_transformation_mode: isHalf ? 'half_pixel' : 'output_half_pixel',
      },
    });
    const wanted = roiAlignCase.reference(problem)['Y']!;
    wanted.forEach((v, i) => expect(Math.abs((y!.data as Float32Array)[i]! - v)).toBeLessThan(1e-4));
  });
});

describe('the formula of CropAndResizeDynamic', () => {
  // ONNX Runtime adds steps up, which may end beyond the last pixel: boxes up to it, it reads nothing of at times.
  const known = cropAndResizeCase
    .problems(new Random(1))
    .filter((p) => !p.timed && Object.values(p.inputs).every((o) => o.values.length > 0))
    .filter((p) => p.inputs['rois']!.values.every((v) => Number.isFinite(v) && v !== 1));

  it.each(known)("is ONNX Runtime's: $name", async (problem) => {
    const { feature_maps: maps, rois } = problem.inputs;
    const { crop_height: height, crop_width: width } = problem.fields as Record<string, number>;
    const [images, boxes] = rois!.dims as [number, number];
    const image = Int32Array.from({ length: images * boxes }, (_, i) => Math.floor(i / boxes));
    const [crops] = await runOrt({
      ...{ op: 'CropAndResize', domain: 'com.microsoft' },
      inputs: [
        tensorOf(maps!, 'float32'),
        tensorFromNumbers('float32', rois!.values, [image.length, 4]),
        new Tensor('int32', image, [image.length]),
        new Tensor('int32', Int32Array.of(height!, width!), [2]),
      ],
    });
    const wanted = cropAndResizeCase.reference(problem)['pfmap']!;
    expect(crops!.size).toBe(wanted.length);
    wanted.forEach((v, i) => expect(Math.abs((crops!.data as Float32Array)[i]! - v)).toBeLessThan(1e-4));
  });
});

describe.skipIf(cudaBackend.device() === undefined)('the kernels of roiAlign', () => {
  const rois = [0, 0, 4, 3, 1.25, 0.5, 7.5, 6, -3, 2, 1, 9];
  describe.each([
    ['float32', 8, 'avg', 0],
    ['float16', 16, 'max', 2],
    ['float16', 3, 'avg', 2],
    ['bfloat16', 132, 'avg', 1],
  ] as const)('of %s, %i channels', (dtype, channels, mode, samplingRatio) => {
    it.each([
      ['roiAlign', 'rows', false],
      ['channelsRoiAlign', 'rows', false],
      ['channelsRoiAlign', 'rows', true],
      ['channelsRoiAlign', 'channelsLast', true],
    ] as const)('%s to %s, channels last: %o', async (tactic, layout, isLast) => {
      await compare({
        inputs: [
          { dtype, dims: isLast ? [2, 7, 9, channels] : [2, channels, 7, 9] },
          { dtype: 'float32', dims: [3, 4], fill: (i) => rois[i]! },
          { dtype: 'int64', dims: [3], fill: (i) => (i + 1) % 2 },
        ],
        graph: (b, x, regions, images) => {
          const planes = isLast ? b.op('transpose', [x], { perm: [0, 3, 1, 2] }) : x;
          return b.op('roiAlign', [planes, regions, images], {
            ...{ mode, outputHeight: 20, outputWidth: 13, samplingRatio },
          });
        },
        pick: (c) => c.tactic === `cuda.${tactic}` && c.outputs[0] === layout,
        steps: [`cuda.${tactic}`],
        tolerance: { float32: 1e-5, float16: 2e-3, bfloat16: 1e-2 }[dtype],
      });
    });
  });
});
