/** EfficientNMS_TRT: what an object detector found, without what overlaps a better one. */

import { provablyEqual } from '@tensorwright/core';
import { definePlugin } from '../define-plugin.js';
import { field, type FieldValues, type OptionalField } from '../fields.js';
import { arg } from '../launch-argument.js';
import type { KernelTensor } from '../cuda-implementation.js';
import type { InferenceContext, Plugin } from '../plugin.js';
import { edgeCapacity, mostCandidates, source, uses } from './efficient-nms-kernel.js';
import {
  checkLimits,
  checkOperands,
  type NmsProblem,
  numbersOf,
  planOf,
  rawThreshold,
  shapesOf,
  suppressThreads,
} from './efficient-nms-plan.js';
import { suppressImages } from './efficient-nms-processor.js';

type NmsFields = {
  readonly score_threshold: OptionalField<number>;
  readonly iou_threshold: OptionalField<number>;
  readonly max_output_boxes: OptionalField<number>;
  readonly background_class: OptionalField<number>;
  readonly score_activation: OptionalField<number>;
  readonly class_agnostic: OptionalField<number>;
  readonly box_coding: OptionalField<number>;
};

type EfficientNms = Plugin<
  readonly ['boxes', 'scores', 'anchors?'],
  readonly ['num_detections', 'detection_boxes', 'detection_scores', 'detection_classes'],
  NmsFields
>;

function detectionProblem(
  { boxes, scores }: { readonly boxes: KernelTensor; readonly scores: KernelTensor },
  fields: FieldValues<NmsFields>,
): NmsProblem {
  const isLogit = fields.score_activation === 1;
  return {
    ...shapesOf(boxes, scores),
    scores,
    most: fields.max_output_boxes,
    background: fields.background_class,
    threshold: rawThreshold(fields.score_threshold, isLogit),
    isLogit,
  };
}

function checkAnchors(c: InferenceContext<EfficientNms['inputs'], NmsFields>): void {
  const { boxes, anchors } = c.inputs;
  if (!anchors) return;
  if (anchors.dtype !== boxes.dtype) c.fail(`boxes are ${boxes.dtype}, anchors are ${anchors.dtype}`);
  const [sets, count, four] = anchors.dims;
  if (anchors.dims.length !== 3 || four !== 4) c.fail('anchors must have the shape [1 or images, boxes, 4]');
  if (!provablyEqual(count!, boxes.dims[1]!)) c.fail('there must be as many anchors as boxes');
  if (sets !== 1 && !provablyEqual(sets!, boxes.dims[0]!)) c.fail('anchors must be of 1 or of all images');
}

/**
 * Greedy non-maximum suppression of each image: by falling score, a box is kept unless it overlaps one that is kept
 * already, and of the same class.
 *
 * - `boxes`: [images, boxes, 4], one for all classes, or [images, boxes, classes, 4]; float32, float16 or bfloat16, as the
 *   other inputs and the outputs are. Coordinates in any unit; see `box_coding`.
 * - `scores`: [images, boxes, classes], also with an extent of 1 behind. Those below the threshold, of the background
 *   class and NaN are no candidates. Of the others the best 4096 of an image are, in the order of their scores; equal
 *   scores by box, then by class, the smaller first.
 * - `anchors`: [1 or images, boxes, 4], optional. `boxes` are then what a network says of them: corners are added to the
 *   anchor's; of centres the first two numbers are offsets in the anchor's sizes, the others logarithms of factors.
 * - `num_detections`: [images, 1], int32: how many of the rows below are filled. The others are 0.
 * - `detection_boxes`: [images, max_output_boxes, 4]: corners, as given where `box_coding` is 0 and there are no anchors.
 * - `detection_scores`: [images, max_output_boxes], after the sigmoid where there is one, falling.
 * - `detection_classes`: [images, max_output_boxes], int32.
 * - `score_threshold` (0.5): least score, after the sigmoid. `iou_threshold` (0.5, above 0): least intersection over union
 *   that drops a box. `max_output_boxes` (100): rows of the outputs, 1 to 65536. `background_class` (-1: none).
 *   `score_activation` (0): 1 takes the sigmoid of scores. `class_agnostic` (0): 1 lets boxes of other classes drop one,
 *   too. `box_coding` (0): 0 for two corners, in any order, 1 for centre and size.
 *
 * Everything is computed in float32. Source: NVIDIA/TensorRT, plugin/efficientNMSPlugin.
 */
export const efficientNms: EfficientNms = definePlugin({
  name: 'EfficientNMS_TRT',
  fields: {
    score_threshold: field.float(0.5),
    iou_threshold: field.float(0.5),
    max_output_boxes: field.int(100),
    background_class: field.int(-1),
    score_activation: field.int(0),
    class_agnostic: field.int(0),
    box_coding: field.int(0),
  },
  inputs: ['boxes', 'scores', 'anchors?'],
  outputs: ['num_detections', 'detection_boxes', 'detection_scores', 'detection_classes'],
  infer(c) {
    const { boxes, scores } = c.inputs;
    const fail = (message: string): never => c.fail(message);
    checkOperands(boxes, scores, fail);
    checkAnchors(c);
    const most = c.fields.max_output_boxes;
    checkLimits(c.fields.iou_threshold, most, 'max_output_boxes', fail);
    for (const name of ['score_activation', 'class_agnostic', 'box_coding'] as const)
      if (![0, 1].includes(c.fields[name])) fail(`${name} must be 0 or 1, is ${String(c.fields[name])}`);
    const images = boxes.dims[0]!;
    return {
      num_detections: { dtype: 'int32', dims: [images, 1] },
      detection_boxes: { dtype: boxes.dtype, dims: [images, most, 4] },
      detection_scores: { dtype: boxes.dtype, dims: [images, most] },
      detection_classes: { dtype: 'int32', dims: [images, most] },
    };
  },
  cuda: {
    source,
    uses,
    dtypes: ['float32', 'float16', 'bfloat16', 'int32'],
    workspaceBytes: ({ inputs, fields }) => planOf(detectionProblem(inputs, fields)).end,
    launches({ inputs, outputs, fields }) {
      const p = detectionProblem(inputs, fields);
      const plan = planOf(p);
      const coding = [p.isLogit, fields.box_coding === 1, fields.class_agnostic === 1];
      const { num_detections, detection_boxes, detection_scores, detection_classes } = outputs;
      return [
        ...plan.launches,
        {
          kernel: `detect<${[suppressThreads, plan.capacity, p.most, ...coding].join(', ')}>`,
          grid: p.images,
          block: suppressThreads,
          sharedBytes: plan.sharedBytes,
          arguments: [
            ...[
              inputs.boxes,
              inputs.scores,
              inputs.anchors ?? arg.text(`static_cast<const ${inputs.boxes.type}*>(nullptr)`),
            ],
            ...[num_detections, detection_boxes, detection_scores, detection_classes],
            ...[plan.tallies, plan.best, plan.edges, plan.kept],
            ...[p.boxes, p.classes, p.boxClasses, inputs.anchors?.dims[0] ?? 1, p.background],
            ...[arg.float(p.threshold), arg.float(fields.iou_threshold), plan.capacity, edgeCapacity],
          ],
        },
      ];
    },
  },
  cpu({ boxes, scores, anchors }, fields) {
    const isLogit = fields.score_activation === 1;
    const most = fields.max_output_boxes;
    const images = boxes.dims[0]!;
    const found = suppressImages(numbersOf(boxes, scores, anchors), {
      isCentred: fields.box_coding === 1,
      isAgnostic: fields.class_agnostic === 1,
      background: fields.background_class,
      threshold: rawThreshold(fields.score_threshold, isLogit),
      iouThreshold: fields.iou_threshold,
      most,
      mostCandidates,
    });
    const result = {
      num_detections: Int32Array.from(found, (list) => list.length),
      detection_boxes: new Float32Array(images * most * 4),
      detection_scores: new Float32Array(images * most),
      detection_classes: new Int32Array(images * most),
    };
    found.forEach((list, image) => {
      list.forEach(({ corners, score, label }, rank) => {
        const row = image * most + rank;
        result.detection_boxes.set(corners, row * 4);
        result.detection_scores[row] = isLogit ? 1 / (1 + Math.exp(-score)) : score;
        result.detection_classes[row] = label;
      });
    });
    return result;
  },
});
