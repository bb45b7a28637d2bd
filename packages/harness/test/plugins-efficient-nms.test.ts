/** EfficientNMS_TRT: its formula against ONNX Runtime's NonMaxSuppression, and a node of a model. */

import { readNumbers, Tensor, tensorFromNumbers } from '@tensorwright/core';
import { registerStockPlugins } from '@tensorwright/plugins/stock';
import { describe, expect, it, vi } from 'vitest';
import { runHere, runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import { constant } from '../../parser-onnx/test/support/one-node-model.js';
import { efficientNmsCase, efficientNmsOnnxCase } from '../src/plugins/cases/efficient-nms.js';
import { Random } from '../src/plugins/random.js';

// Models take their time on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const scalar = (value: number): Tensor => new Tensor('float32', Float32Array.of(value), [1]);

/** Image, class and box of what ONNX Runtime keeps, at most `most` of each class. */
async function keptByOrt(
  inputs: Readonly<Record<string, { readonly dims: readonly number[]; readonly values: Float64Array }>>,
  centred: boolean,
  [most, iouThreshold, scoreThreshold]: readonly [number, number, number],
): Promise<string[]> {
  const [images, count, classes] = inputs['scores']!.dims as [number, number, number];
  const byClass = Float64Array.from({ length: images * classes * count }, (_, i) => {
    const [image, label, box] = [Math.floor(i / (classes * count)), Math.floor(i / count) % classes, i % count];
    return inputs['scores']!.values[(image * count + box) * classes + label]!;
  });
  const [triples] = await runOrt({
    op: 'NonMaxSuppression',
    opset: 11,
    inputs: [
      tensorFromNumbers('float32', inputs['boxes']!.values, inputs['boxes']!.dims),
      tensorFromNumbers('float32', byClass, [images, classes, count]),
      constant(new Tensor('int64', BigInt64Array.of(BigInt(most)), [1])),
      // What lies on a threshold is dropped there, and kept by its score here.
      constant(scalar(iouThreshold - 1e-6)),
      constant(scalar(scoreThreshold - 1e-6)),
    ],
    attributes: { center_point_box: centred ? 1 : 0 },
    outputs: ['int64'],
  });
  const rows = readNumbers(triples!);
  return Array.from({ length: rows.length / 3 }, (_, i) => rows.subarray(3 * i, 3 * i + 3).join(' ')).sort();
}

describe('the formula of EfficientNMS', () => {
  it.each(['corners', 'room for all', 'several chunks'])("keeps what ONNX Runtime's keeps: %s", async (name) => {
    const problem = efficientNmsCase.problems(new Random(1)).find((p) => p.name === name)!;
    const { iou_threshold: iou, score_threshold: score } = problem.fields as Record<string, number>;
    const [images, count, classes] = problem.inputs['scores']!.dims as [number, number, number];
    const all = count * classes;
    const kept = efficientNmsOnnxCase.reference({
      ...problem,
      fields: { score_threshold: score, iou_threshold: iou, max_output_boxes_per_class: all, center_point_box: 0 },
    })['detection_indices']!;
    const rows = Array.from({ length: images * all }, (_, i) => kept.subarray(3 * i, 3 * i + 3).join(' '));
    const wanted = await keptByOrt(problem.inputs, false, [all, iou!, score!]);
    expect(wanted.length).toBeGreaterThan(10);
    expect([...new Set(rows)].sort()).toEqual(wanted);
  });

  it('reads centres as ONNX Runtime does', async () => {
    const problem = efficientNmsCase.problems(new Random(1)).find((p) => p.name.startsWith('centres'))!;
    const [images, count, classes] = problem.inputs['scores']!.dims as [number, number, number];
    const all = count * classes;
    const fields = { score_threshold: 0.25, iou_threshold: 0.5, max_output_boxes_per_class: all, center_point_box: 1 };
    const kept = efficientNmsOnnxCase.reference({ ...problem, fields })['detection_indices']!;
    const rows = Array.from({ length: images * all }, (_, i) => kept.subarray(3 * i, 3 * i + 3).join(' '));
    expect([...new Set(rows)].sort()).toEqual(await keptByOrt(problem.inputs, true, [all, 0.5, 0.25]));
  });
});

describe('a node of an ONNX model made for TensorRT', () => {
  it('is the plugin', async () => {
    registerStockPlugins();
    const problem = efficientNmsCase.problems(new Random(1)).find((p) => p.name === 'logits')!;
    const results = await runHere({
      op: 'EfficientNMS_TRT',
      domain: 'TRT',
      inputs: ['boxes', 'scores'].map((name) => {
        const { values, dims } = problem.inputs[name]!;
        return tensorFromNumbers('float32', values, dims);
      }),
      attributes: {
        plugin_version: '1',
        score_threshold: { float: 0.3 },
        iou_threshold: { float: 0.375 },
        ...{ max_output_boxes: 20, background_class: -1, score_activation: 1, class_agnostic: 0, box_coding: 0 },
      },
      outputs: ['int32', 'float32', 'float32', 'int32'],
    });
    const wanted = Object.values(efficientNmsCase.reference(problem));
    expect(results.map((t) => t.dims)).toEqual([
      [2, 1],
      [2, 20, 4],
      [2, 20],
      [2, 20],
    ]);
    results.forEach((t, i) => {
      readNumbers(t).forEach((v, k) => expect(Math.abs(v - wanted[i]![k]!)).toBeLessThan(1e-5));
    });
  });
});
