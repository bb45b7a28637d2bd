/** EfficientNMS_ONNX_TRT: non-maximum suppression that gives indices, as TensorRT stands in for ONNX's operator. */

import { addDims, ceilDivDims, mulDims } from '@tensorwright/core';
import { definePlugin } from '../define-plugin.js';
import { field, type OptionalField } from '../fields.js';
import { arg } from '../launch-argument.js';
import type { KernelTensor } from '../cuda-implementation.js';
import type { Plugin } from '../plugin.js';
import { edgeCapacity, mostCandidates, source, uses } from './efficient-nms-kernel.js';
import {
  checkLimits,
  checkOperands,
  type NmsProblem,
  numbersOf,
  planOf,
  shapesOf,
  suppressThreads,
} from './efficient-nms-plan.js';
import { suppressImages } from './efficient-nms-processor.js';

type EfficientNmsOnnx = Plugin<
  readonly ['boxes', 'scores'],
  readonly ['detection_indices'],
  {
    readonly score_threshold: OptionalField<number>;
    readonly iou_threshold: OptionalField<number>;
    readonly max_output_boxes_per_class: OptionalField<number>;
    readonly center_point_box: OptionalField<number>;
  }
>;

function problemOf(boxes: KernelTensor, scores: KernelTensor, most: number, threshold: number): NmsProblem {
  return { ...shapesOf(boxes, scores), scores, most, background: -1, threshold, isLogit: false };
}

/**
 * Greedy non-maximum suppression like `EfficientNMS_TRT`, which gives indices.
 *
 * - `boxes`, `scores`: as there; [images, boxes, classes] scores, the class axis last.
 * - `detection_indices`: [images · max_output_boxes_per_class, 3], int32: image, class and box of those that are kept,
 *   image by image, by falling score. Rows that are left over repeat the last one; they are -1 where nothing is kept.
 * - `score_threshold` (0.5): least score. `iou_threshold` (0.5, above 0): least intersection over union that drops a box.
 *   `max_output_boxes_per_class` (100): boxes of an image that are kept, of all classes, as in TensorRT's plugin.
 *   `center_point_box` (0): 1 where boxes are centre and size.
 *
 * ONNX's operator itself, NonMaxSuppression, has as many rows as boxes are kept. Source: NVIDIA/TensorRT,
 * plugin/efficientNMSPlugin.
 */
export const efficientNmsOnnx: EfficientNmsOnnx = definePlugin({
  name: 'EfficientNMS_ONNX_TRT',
  fields: {
    score_threshold: field.float(0.5),
    iou_threshold: field.float(0.5),
    max_output_boxes_per_class: field.int(100),
    center_point_box: field.int(0),
  },
  inputs: ['boxes', 'scores'],
  outputs: ['detection_indices'],
  infer({ inputs: { boxes, scores }, fields, fail }) {
    checkOperands(boxes, scores, fail);
    const most = fields.max_output_boxes_per_class;
    checkLimits(fields.iou_threshold, most, 'max_output_boxes_per_class', fail);
    if (![0, 1].includes(fields.center_point_box)) fail('center_point_box must be 0 or 1');
    return { detection_indices: { dtype: 'int32', dims: [mulDims(boxes.dims[0]!, most), 3] } };
  },
  cuda: {
    source,
    uses,
    dtypes: ['float32', 'float16', 'bfloat16', 'int32'],
    workspaceBytes({ inputs: { boxes, scores }, fields }) {
      const p = problemOf(boxes, scores, fields.max_output_boxes_per_class, Math.fround(fields.score_threshold));
      return addDims(planOf(p).end, mulDims(p.images, 4 + 8 * p.most));
    },
    launches({ inputs: { boxes, scores }, outputs: { detection_indices }, fields }) {
      const p = problemOf(boxes, scores, fields.max_output_boxes_per_class, Math.fround(fields.score_threshold));
      const plan = planOf(p);
      const pairs = arg.workspace(plan.end);
      const counts = arg.workspace(addDims(plan.end, mulDims(p.images, 8 * p.most)));
      const template = [suppressThreads, plan.capacity, p.most, fields.center_point_box === 1];
      return [
        ...plan.launches,
        {
          kernel: `select_boxes<${template.join(', ')}>`,
          grid: p.images,
          block: suppressThreads,
          sharedBytes: plan.sharedBytes,
          arguments: [
            ...[boxes, scores, counts, pairs, plan.tallies, plan.best, plan.edges, plan.kept],
            ...[p.boxes, p.classes, p.boxClasses, arg.float(p.threshold), arg.float(fields.iou_threshold)],
            ...[plan.capacity, edgeCapacity],
          ],
        },
        {
          kernel: 'list_selected',
          grid: ceilDivDims(mulDims(p.images, p.most), 256),
          block: 256,
          arguments: [counts, pairs, detection_indices, p.images, p.most],
        },
      ];
    },
  },
  cpu({ boxes, scores }, fields) {
    const most = fields.max_output_boxes_per_class;
    const found = suppressImages(numbersOf(boxes, scores), {
      isCentred: fields.center_point_box === 1,
      isAgnostic: false,
      background: -1,
      threshold: Math.fround(fields.score_threshold),
      iouThreshold: fields.iou_threshold,
      most,
      mostCandidates,
    });
    const rows = found.flatMap((list, image) => list.map(({ label, box }) => [image, label, box]));
    const indices = new Int32Array(found.length * most * 3).fill(-1);
    if (rows.length > 0)
      for (let row = 0; row < found.length * most; row++) indices.set(rows[Math.min(row, rows.length - 1)]!, row * 3);
    return { detection_indices: indices };
  },
});
