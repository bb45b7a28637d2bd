/** What EfficientNMS_TRT and EfficientNMS_ONNX_TRT have in common: operands, and the launches up to the suppression. */

import {
  addDims,
  ceilDivDims,
  type Dim,
  dimBounds,
  mulDims,
  provablyEqual,
  type Tensor,
  readNumbers,
} from '@tensorwright/core';
import { arg } from '../launch-argument.js';
import type { KernelTensor, Launch, LaunchArgument } from '../cuda-implementation.js';
import type { Shaped } from '../plugin.js';
import { edgeCapacity, mostCandidates, tallyBytes } from './efficient-nms-kernel.js';
import type { NmsNumbers } from './efficient-nms-processor.js';
import { chunkBytes, keptBytes } from './efficient-nms-suppression-kernel.js';
import { checkFloat } from './floats.js';
import { widthOf } from './vector-access.js';
import { powerOfTwoFrom } from './power-of-two.js';

/** Threads of a block that filters, and scores that each of them looks at. */
const [filterThreads, scoresOfThread] = [256, 8];
/** Threads of a block that suppresses. */
export const suppressThreads = 1024;
/** Kept boxes that a block has shared memory for; more lie in scratch memory. */
const mostSharedKept = 1024;

export interface Shapes {
  readonly images: Dim;
  readonly boxes: Dim;
  readonly classes: Dim;
  /** Boxes of each of `boxes`: 1, or one for each class. */
  readonly boxClasses: Dim;
}

/** Batch, boxes, classes; the last axis of scores may be followed by an extent of 1. */
export function shapesOf(boxes: Shaped, scores: Shaped): Shapes {
  const [images, count, classes] = scores.dims as [Dim, Dim, Dim];
  return { images, boxes: count, classes, boxClasses: boxes.dims.length === 4 ? boxes.dims[2]! : 1 };
}

export function checkOperands(boxes: Shaped, scores: Shaped, fail: (message: string) => never): void {
  checkFloat('boxes', boxes, fail);
  if (scores.dtype !== boxes.dtype) fail(`boxes are ${boxes.dtype}, scores are ${scores.dtype}`);
  const { dims } = scores;
  if (dims.length !== 3 && !(dims.length === 4 && dims[3] === 1))
    fail('scores must have the shape [images, boxes, classes] or [images, boxes, classes, 1]');
  const [of, from] = [boxes.dims, scores.dims];
  if ((of.length !== 3 && of.length !== 4) || of.at(-1) !== 4)
    fail('boxes must have the shape [images, boxes, 4] or [images, boxes, classes, 4]');
  if (!provablyEqual(of[0]!, from[0]!) || !provablyEqual(of[1]!, from[1]!))
    fail('boxes and scores must be of as many images and boxes');
  if (of.length === 4 && of[2] !== 1 && !provablyEqual(of[2]!, from[2]!))
    fail('boxes must have 1 or as many classes as scores');
}

export function checkLimits(iouThreshold: number, limit: number, name: string, fail: (message: string) => never): void {
  if (!(iouThreshold > 0)) fail(`iou_threshold must be above 0, is ${String(iouThreshold)}`);
  if (limit < 1 || limit > 65536) fail(`${name} must be from 1 to 65536, is ${String(limit)}`);
}

/** What the launches of both plugins have in common. */
export interface NmsProblem extends Shapes {
  readonly scores: KernelTensor;
  readonly most: number;
  readonly background: number;
  readonly threshold: number;
  readonly isLogit: boolean;
}

export interface NmsPlan {
  /** Candidates that fit. */
  readonly capacity: number;
  readonly tallies: LaunchArgument;
  readonly best: LaunchArgument;
  readonly edges: LaunchArgument;
  readonly kept: LaunchArgument;
  /** Where scratch memory of the plugin's own begins. */
  readonly end: Dim;
  readonly sharedBytes: number;
  readonly launches: readonly Launch[];
}

/** Everything up to the block that suppresses. */
export function planOf(p: NmsProblem): NmsPlan {
  const size = mulDims(p.boxes, p.classes);
  const capacity = Math.min(mostCandidates, powerOfTwoFrom(Math.max(dimBounds(size).max, 2)));
  const mostKept = Math.min(p.most, capacity);
  const isKeptShared = mostKept <= mostSharedKept;
  const bytes = [tallyBytes, capacity * 8, edgeCapacity * 8, isKeptShared ? 0 : mostKept * keptBytes];
  const offsets = bytes.reduce<Dim[]>((all, b) => [...all, addDims(all.at(-1)!, mulDims(p.images, b))], [0]);
  const [tallies, best, edges, kept] = offsets.map((offset) => arg.workspace(offset));
  const { scores } = p;
  const width = widthOf(scores.dtype, size);
  const loads = scoresOfThread / width;
  const grid = [ceilDivDims(size, filterThreads * width * loads), p.images];
  const template = `<${[filterThreads, width, loads, p.isLogit].join(', ')}>`;
  const filter = [size, p.classes, p.background, arg.float(p.threshold), capacity];
  return {
    capacity,
    tallies: tallies!,
    best: best!,
    edges: edges!,
    kept: isKeptShared ? undefined : kept!,
    end: offsets.at(-1)!,
    sharedBytes: capacity * 8 + chunkBytes + (isKeptShared ? mostKept * keptBytes : 0),
    launches: [
      {
        kernel: 'reset_tallies',
        grid: ceilDivDims(mulDims(p.images, tallyBytes / 4), 1024),
        block: 1024,
        arguments: [tallies!, p.images],
      },
      {
        kernel: `filter_scores${template}`,
        grid,
        block: filterThreads,
        arguments: [scores, tallies!, best!, ...filter],
      },
      {
        kernel: `collect_best${template}`,
        grid,
        block: filterThreads,
        arguments: [scores, tallies!, best!, edges!, ...filter, edgeCapacity],
      },
    ],
  };
}

/** What a score must be at least, before the sigmoid where there is one. */
export function rawThreshold(threshold: number, isLogit: boolean): number {
  if (!isLogit) return Math.fround(threshold);
  return threshold <= 0 ? -Infinity : threshold >= 1 ? Infinity : Math.fround(Math.log(threshold / (1 - threshold)));
}

/** Operands of a run on the processor. */
export function numbersOf(boxes: Tensor, scores: Tensor, anchors?: Tensor): NmsNumbers {
  const [images, count, classes] = scores.dims as [number, number, number];
  return {
    images,
    count,
    classes,
    boxClasses: boxes.dims.length === 4 ? boxes.dims[2]! : 1,
    boxes: readNumbers(boxes),
    scores: readNumbers(scores),
    anchors: anchors && { sets: anchors.dims[0]!, values: readNumbers(anchors) },
  };
}
