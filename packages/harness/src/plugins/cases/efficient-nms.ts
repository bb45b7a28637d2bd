/** EfficientNMS_TRT and EfficientNMS_ONNX_TRT against the greedy algorithm, one box after the other. */

import { type DType, type NetworkDefinition, type NetworkTensor, tensorFromNumbers } from '@tensorwright/core';
import { efficientNms, efficientNmsOnnx } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

type Fields = Readonly<Record<string, number>>;

interface Sizes {
  readonly images: number;
  readonly boxes: number;
  readonly classes: number;
  /** Whether each class has a box of its own. Default: false. */
  readonly perClass?: boolean;
  /** Sets of anchors. Default: none. */
  readonly anchors?: number;
  /** The more, the more scores are near 0. Default: 1. */
  readonly skew?: number;
}

/** Multiples of 1/`steps`, which 16-bit floats hold, so that every run decides alike. */
function grid(random: Random, dims: readonly number[], low: number, high: number, steps: number, skew = 1): Operand {
  const count = dims.reduce((a, b) => a * b, 1);
  const value = (): number => low + Math.floor((high - low) * steps * random.next() ** skew) / steps;
  return { dtype: 'float', dims, values: Float64Array.from({ length: count }, value) };
}

/** Boxes of sizes up to 8 about some places, so that many overlap; rows of x1, y1, x2, y2 or of centre and size. */
function boxesOf(random: Random, dims: readonly number[], isCentred: boolean): Operand {
  const places = grid(random, [12], 4, 28, 4).values;
  const offsets = grid(random, dims, 0.5, 4, 16).values;
  const values = offsets.map((offset, i) => {
    if (isCentred) return i % 4 < 2 ? places[random.integer(12)]! + offset / 2 : 2 * offset;
    return offset;
  });
  if (!isCentred)
    for (let i = 0; i < values.length; i += 4) {
      const [x, y] = [places[random.integer(6)]!, places[6 + random.integer(6)]!];
      values.set([x - values[i]!, y - values[i + 1]!, x + values[i + 2]!, y + values[i + 3]!], i);
    }
  return { dtype: 'float', dims, values };
}

function problemOf(random: Random, name: string, sizes: Sizes, fields: Fields): Problem {
  return { name, fields, inputs: inputsOf(random, sizes, fields) };
}

function inputsOf(random: Random, sizes: Sizes, fields: Fields): Problem['inputs'] {
  const { images, boxes, classes, perClass = false, anchors = 0, skew = 1 } = sizes;
  const isCentred = (fields['box_coding'] ?? fields['center_point_box']) === 1;
  const dims = perClass ? [images, boxes, classes, 4] : [images, boxes, 4];
  const logits = fields['score_activation'] === 1;
  return {
    boxes: anchors > 0 ? grid(random, dims, -0.5, 0.5, 16) : boxesOf(random, dims, isCentred),
    scores: logits
      ? grid(random, [images, boxes, classes], -8, 8, 64)
      : grid(random, [images, boxes, classes], 0, 1, 2048, skew),
    ...(anchors > 0 && { anchors: boxesOf(random, [anchors, boxes, 4], isCentred) }),
  };
}

function scoresOf(problem: Problem, change: (score: number, i: number) => number): Problem {
  const scores = problem.inputs['scores']!;
  return { ...problem, inputs: { ...problem.inputs, scores: { ...scores, values: scores.values.map(change) } } };
}

function problems(random: Random): Problem[] {
  const make = (name: string, sizes: Sizes, fields: Fields): Problem => problemOf(random, name, sizes, fields);
  const some = { images: 2, boxes: 61, classes: 3 };
  const limits = { score_threshold: 0.25, iou_threshold: 0.375, max_output_boxes: 20 };
  const dynamic = make('boxes of the run', some, limits);
  const [boxes, scores] = [dynamic.inputs['boxes']!, dynamic.inputs['scores']!];
  const special = [NaN, Infinity, -Infinity, -0, 0, 0.25, 1];
  return [
    make('corners', some, limits),
    make('centres, a background class', some, { ...limits, box_coding: 1, background_class: 1 }),
    make('any class suppresses', some, { ...limits, class_agnostic: 1 }),
    make('boxes of each class', { ...some, perClass: true }, { ...limits, iou_threshold: 0.5 }),
    make('logits', some, { ...limits, score_activation: 1, score_threshold: 0.3 }),
    make('all logits', { ...some, boxes: 40 }, { ...limits, score_activation: 1, score_threshold: 0 }),
    make('anchors as corners', { ...some, anchors: 1 }, limits),
    make('anchors as centres of each image', { ...some, anchors: 2 }, { ...limits, box_coding: 1 }),
    make('room for all', { images: 1, boxes: 40, classes: 1 }, { ...limits, max_output_boxes: 2000 }),
    make(
      'several chunks',
      { images: 1, boxes: 330, classes: 2 },
      { ...limits, score_threshold: 0, max_output_boxes: 300 },
    ),
    make(
      'more boxes than shared memory keeps',
      { images: 1, boxes: 190, classes: 8 },
      { score_threshold: 0, iou_threshold: 0.96875, max_output_boxes: 1100 },
    ),
    make('more candidates than fit', { images: 2, boxes: 310, classes: 16 }, { ...limits, score_threshold: 0 }),
    scoresOf(make('more equal scores than fit', { images: 1, boxes: 1100, classes: 16 }, limits), () => 0.5),
    scoresOf(make('odd scores', some, { ...limits, score_threshold: 0 }), (s, i) => special[i % 19] ?? s),
    scoresOf(make('nothing passes', some, limits), (s) => s / 8),
    make('no boxes', { ...some, boxes: 0 }, limits),
    {
      ...dynamic,
      inputs: {
        boxes: { ...boxes, declared: ['images', 'boxes', 4] },
        scores: { ...scores, declared: ['images', 'boxes', 'classes'] },
      },
    },
    timed('YOLOv8, 640 x 640', { score_threshold: 0.25, iou_threshold: 0.5, max_output_boxes: 100 }, (r) =>
      inputsOf(r, { images: 1, boxes: 8400, classes: 80, skew: 30 }, {}),
    ),
    timed(
      'YOLOv8, 640 x 640, 8 images, for precision and recall',
      { score_threshold: 0.001, iou_threshold: 0.625, max_output_boxes: 300 },
      (r) => inputsOf(r, { images: 8, boxes: 8400, classes: 80, skew: 30 }, {}),
    ),
  ];
}

interface Candidate {
  readonly score: number;
  readonly box: number;
  readonly label: number;
  readonly corners: readonly number[];
}

/** Corners of a box by TensorRT's description of codings and anchors. */
function cornersOf({ inputs, fields }: Problem, image: number, box: number, label: number): number[] {
  const { boxes, anchors } = inputs;
  const perClass = boxes!.dims.length === 4 ? boxes!.dims[2]! : 1;
  const at = ((image * boxes!.dims[1]! + box) * perClass + (perClass > 1 ? label : 0)) * 4;
  let row = [...boxes!.values.subarray(at, at + 4)];
  const isCentred = (fields['box_coding'] ?? fields['center_point_box']) === 1;
  if (anchors) {
    const from = ((anchors.dims[0] === 1 ? 0 : image) * anchors.dims[1]! + box) * 4;
    const a = [...anchors.values.subarray(from, from + 4)];
    if (isCentred) row = [0, 1, 2, 3].map((k) => (k < 2 ? row[k]! * a[k + 2]! + a[k]! : a[k]! * Math.exp(row[k]!)));
    else row = sorted(row).map((v, k) => v + sorted(a)[k]!);
  }
  return isCentred ? [-0.5, -0.5, 0.5, 0.5].map((half, k) => row[k % 2]! + half * row[2 + (k % 2)]!) : row;
}

function sorted([a, b, c, d]: readonly number[]): number[] {
  return [Math.min(a!, c!), Math.min(b!, d!), Math.max(a!, c!), Math.max(b!, d!)];
}

function areaOf(corners: readonly number[]): number {
  return Math.max(corners[2]! - corners[0]!, 0) * Math.max(corners[3]! - corners[1]!, 0);
}

function overlapOf(a: readonly number[], b: readonly number[]): number {
  const [p, q] = [sorted(a), sorted(b)];
  const common = areaOf([0, 1, 2, 3].map((k) => (k < 2 ? Math.max(p[k]!, q[k]!) : Math.min(p[k]!, q[k]!))));
  return common > 0 ? common / (areaOf(p) + areaOf(q) - common) : 0;
}

/** Keeps the best that is left and takes away what it overlaps, until enough are kept or nothing is left. */
function keptOf(problem: Problem, image: number, most: number): Candidate[] {
  const { inputs, fields } = problem;
  const [, count, classes] = inputs['scores']!.dims as [number, number, number];
  const scores = inputs['scores']!.values.subarray(image * count * classes, (image + 1) * count * classes);
  const isLogit = fields['score_activation'] === 1;
  const places = [...scores.keys()].filter((i) => {
    const probability = isLogit ? 1 / (1 + Math.exp(-scores[i]!)) : scores[i]!;
    return probability >= (fields['score_threshold'] as number) && i % classes !== fields['background_class'];
  });
  places.sort((a, b) => (scores[a] === scores[b] ? a - b : scores[b]! - scores[a]!));
  let left = places.slice(0, 4096).map((i): Candidate => {
    const [box, label] = [Math.floor(i / classes), i % classes];
    return { score: scores[i]!, box, label, corners: cornersOf(problem, image, box, label) };
  });
  const kept: Candidate[] = [];
  while (left.length > 0 && kept.length < most) {
    const best = left[0]!;
    kept.push(best);
    left = left.filter(
      (other) =>
        other !== best &&
        ((other.label !== best.label && fields['class_agnostic'] !== 1) ||
          overlapOf(best.corners, other.corners) < (fields['iou_threshold'] as number)),
    );
  }
  return kept;
}

function reference(problem: Problem): Record<string, Float64Array> {
  const images = problem.inputs['scores']!.dims[0]!;
  const most = problem.fields['max_output_boxes'] as number;
  const all = Array.from({ length: images }, (_, image) => keptOf(problem, image, most));
  const isLogit = problem.fields['score_activation'] === 1;
  const rows = (width: number, of: (c: Candidate) => readonly number[]): Float64Array => {
    const out = new Float64Array(images * most * width);
    all.forEach((kept, image) => {
      kept.forEach((c, rank) => out.set(of(c), (image * most + rank) * width));
    });
    return out;
  };
  return {
    num_detections: Float64Array.from(all, (kept) => kept.length),
    detection_boxes: rows(4, (c) => c.corners),
    detection_scores: rows(1, (c) => [isLogit ? 1 / (1 + Math.exp(-c.score)) : c.score]),
    detection_classes: rows(1, (c) => [c.label]),
  };
}

function constant(
  network: NetworkDefinition,
  dtype: DType,
  values: readonly number[],
  dims: readonly number[] = [values.length],
): NetworkTensor {
  return network.addConstant(tensorFromNumbers(dtype, Float64Array.from(values), dims));
}

/**
 * The best boxes of each image, as a detector is exported without plugins: NonMaxSuppression of each class, the scores
 * that are left in their places among all, and the best of those.
 */
function standardBest(
  network: NetworkDefinition,
  boxes: NetworkTensor,
  scores: NetworkTensor,
  { inputs, fields, most }: Pick<Problem, 'inputs' | 'fields'> & { readonly most: number },
): { readonly values: NetworkTensor; readonly box: NetworkTensor; readonly label: NetworkTensor } {
  const [images, count, classes] = inputs['scores']!.dims as [number, number, number];
  // ONNX drops what overlaps by more than the threshold, the plugin what overlaps by as much.
  const overlap = (fields['iou_threshold'] as number) * (1 - 2 ** -23);
  const turned = network.addShuffle(scores, { firstTranspose: [0, 2, 1] });
  const [kept] = network.addOperator('nonMaxSuppression', [
    ...[network.addCast(boxes, 'float32'), network.addCast(turned, 'float32')],
    ...[constant(network, 'int64', [most], []), constant(network, 'float32', [overlap], [])],
    constant(network, 'float32', [fields['score_threshold'] as number], []),
  ]);
  const none = network.addCast(constant(network, 'int64', [0], [1, 1, 1]), scores.dtype);
  const [all] = network.addOperator('expand', [none], { dims: [images, count, classes] });
  const places = network.addGather(kept!, constant(network, 'int64', [0, 2, 1]), { axis: 1 });
  const found = network.addGather(turned, kept!, { mode: 'nd' });
  const [left] = network.addOperator('scatterND', [all, places, found]);
  const flat = network.addShuffle(left!, { reshape: [images, count * classes] });
  const { values, indices } = network.addTopK(flat, 'max', most, 1);
  const divisor = constant(network, 'int64', [classes]);
  const box = network.addElementWise(indices, divisor, 'div');
  return { values, box, label: network.addElementWise(indices, network.addElementWise(box, divisor, 'prod'), 'sub') };
}

export const efficientNmsCase: PluginCase = {
  name: 'efficient-nms',
  plugin: efficientNms,
  problems,
  reference,
  standard(network, { boxes, scores }, { inputs, fields }) {
    const most = fields['max_output_boxes'] as number;
    const best = standardBest(network, boxes!, scores!, { inputs, fields, most });
    const { values, box, label } = best;
    const [images] = inputs['scores']!.dims as [number];
    const zero = constant(network, 'int64', [0]);
    const isKept = network.addElementWise(values, network.addCast(zero, values.dtype), 'greater');
    const rows = network.addGather(boxes!, network.addShuffle(box, { reshape: [images, most, 1] }), {
      ...{ mode: 'nd', batchDims: 1 },
    });
    const noBox = network.addCast(constant(network, 'int64', [0], [1, 1, 1]), boxes!.dtype);
    return {
      num_detections: network.addReduce(network.addCast(isKept, 'int32'), 'sum', [1], { keepDims: true }),
      detection_boxes: network.addSelect(network.addShuffle(isKept, { reshape: [images, most, 1] }), rows, noBox),
      detection_scores: values,
      detection_classes: network.addCast(network.addSelect(isKept, label, zero), 'int32'),
    };
  },
};

export const efficientNmsOnnxCase: PluginCase = {
  name: 'efficient-nms-onnx',
  plugin: efficientNmsOnnx,
  problems(random) {
    const fields = { score_threshold: 0.25, iou_threshold: 0.5, max_output_boxes_per_class: 12, center_point_box: 0 };
    const some = { images: 3, boxes: 50, classes: 2 };
    const none = (i: number): boolean => i < 100;
    return [
      problemOf(random, 'corners', some, fields),
      problemOf(random, 'centres', { ...some, perClass: true }, { ...fields, center_point_box: 1 }),
      scoresOf(problemOf(random, 'nothing in the first image', some, fields), (s, i) => (none(i) ? 0 : s)),
      scoresOf(problemOf(random, 'nothing but in the first image', some, fields), (s, i) => (none(i) ? s : 0)),
      scoresOf(problemOf(random, 'nothing at all', some, fields), () => 0),
      timed('SSD, 8 images', { ...fields, score_threshold: 0.05, max_output_boxes_per_class: 200 }, (r) =>
        inputsOf(r, { images: 8, boxes: 8732, classes: 81, skew: 20 }, fields),
      ),
    ];
  },
  reference(problem) {
    const images = problem.inputs['scores']!.dims[0]!;
    const most = problem.fields['max_output_boxes_per_class'] as number;
    const rows = Array.from({ length: images }, (_, image) =>
      keptOf(problem, image, most).map((c) => [image, c.label, c.box]),
    ).flat();
    const last = rows.at(-1) ?? [-1, -1, -1];
    return {
      detection_indices: Float64Array.from({ length: images * most }, (_, i) => i).reduce(
        (out, _, i) => {
          out.set(rows[i] ?? last, 3 * i);
          return out;
        },
        new Float64Array(images * most * 3),
      ),
    };
  },
  /** Where every image has as many boxes as are asked for. */
  standard(network, { boxes, scores }, { inputs, fields }) {
    const most = fields['max_output_boxes_per_class'] as number;
    const { box, label } = standardBest(network, boxes!, scores!, { inputs, fields, most });
    const [images] = inputs['scores']!.dims as [number];
    const column = (x: NetworkTensor): NetworkTensor => network.addShuffle(x, { reshape: [images * most, 1] });
    const image = constant(
      network,
      'int64',
      Array.from({ length: images * most }, (_, i) => Math.floor(i / most)),
      [images * most, 1],
    );
    const rows = network.addConcatenation([image, column(label), column(box)], 1);
    return { detection_indices: network.addCast(rows, 'int32') };
  },
};
