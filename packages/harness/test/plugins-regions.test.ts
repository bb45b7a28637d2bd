/** ROIAlign_TRT against ONNX Runtime's RoiAlign, and its kernel for channels that come last. */

import { type DType, type Tensor, tensorFromNumbers } from '@tensorwright/core';
import { cudaBackend } from '@tensorwright/backend-cuda';
import { registerStockPlugins, roiAlign } from '@tensorwright/plugins/stock';
import { describe, expect, it } from 'vitest';
import { compare } from '../../backend-cuda/test/compare.js';
import { runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import type { Operand, Problem } from '../src/plugins/case.js';
import { roiAlignCase } from '../src/plugins/cases/regions.js';
import { Random } from '../src/plugins/random.js';

registerStockPlugins();

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

describe.skipIf(cudaBackend.device() === undefined)('the kernel of ROIAlign_TRT with channels last', () => {
  it.each([
    ['float32', 8, 1, 0],
    ['float16', 16, 1, 2],
    ['float16', 3, 0, 2],
  ] as const)('computes %s, %i channels', async (dtype, channels, mode, ratio) => {
    const rois = [0, 0, 4, 3, 1.25, 0.5, 7.5, 6, -3, 2, 1, 9];
    await compare({
      inputs: [
        { dtype, dims: [2, channels, 7, 9] },
        { dtype: 'float32', dims: [3, 4], fill: (i) => rois[i]! },
        { dtype: 'int64', dims: [3], fill: (i) => (i + 1) % 2 },
      ],
      graph: (b, ...operands) =>
        b.op(roiAlign.operator.name, operands, { mode, output_height: 2, output_width: 3, sampling_ratio: ratio }),
      force: { tactic: 'cuda.provided.ROIAlign_TRT@2.format1', parameters: {} },
      tolerance: dtype === 'float16' ? 2e-3 : 1e-5,
    });
  });
});
