/**
 * Detections as a set: boxes of two runtimes matched by label and overlap. Scores that are nearly equal change their
 * order, and that of the boxes with them, at the last bit of a score; element by element such outputs cannot be compared.
 */

import { readNumbers, type Tensor } from '@tensorwright/core';

export interface DetectionComparison {
  /** Every box of one has its counterpart in the other. */
  readonly equal: boolean;
  readonly matched: number;
  readonly own: number;
  readonly peer: number;
  /** Largest differences among the matched. */
  readonly scoreError: number;
  readonly overlapError: number;
}

interface Detection {
  readonly box: readonly number[];
  readonly label: number;
  readonly score: number;
}

/** Least overlap (intersection over union) and largest difference of scores of the same detection. */
const leastOverlap = 0.999;
const largestScoreError = 1e-4;

/** undefined: the outputs are no boxes with scores and labels. */
export function compareDetections(
  own: Readonly<Record<string, Tensor>>,
  peer: Readonly<Record<string, Tensor>>,
): DetectionComparison | undefined {
  const ours = detectionsOf(own);
  const theirs = detectionsOf(peer);
  if (!ours || !theirs) return undefined;
  const left = new Set(theirs);
  let matched = 0;
  let scoreError = 0;
  let overlapError = 0;
  for (const d of ours) {
    let best: Detection | undefined;
    for (const e of left) if (same(d, e) && (!best || overlap(d.box, e.box) > overlap(d.box, best.box))) best = e;
    if (!best) continue;
    left.delete(best);
    matched++;
    scoreError = Math.max(scoreError, Math.abs(d.score - best.score));
    overlapError = Math.max(overlapError, 1 - overlap(d.box, best.box));
  }
  const equal = matched === ours.length && matched === theirs.length;
  return { equal, matched, own: ours.length, peer: theirs.length, scoreError, overlapError };
}

function same(a: Detection, b: Detection): boolean {
  return (
    a.label === b.label && Math.abs(a.score - b.score) <= largestScoreError && overlap(a.box, b.box) >= leastOverlap
  );
}

function detectionsOf({ boxes, scores, labels }: Readonly<Record<string, Tensor>>): Detection[] | undefined {
  if (boxes?.dims.length !== 2 || boxes.dims[1] !== 4) return undefined;
  const count = boxes.dims[0]!;
  if (scores?.dims.join() !== `${count}` || labels?.dims.join() !== `${count}`) return undefined;
  const corners = readNumbers(boxes);
  const score = readNumbers(scores);
  const label = Array.from(labels.data as ArrayLike<number | bigint>, Number);
  return Array.from({ length: count }, (_, i) => ({
    box: Array.from({ length: 4 }, (_, k) => corners[4 * i + k]!),
    label: label[i]!,
    score: score[i]!,
  }));
}

/** Intersection over union of corners x1, y1, x2, y2; 1 for equal boxes without an area. */
function overlap(a: readonly number[], b: readonly number[]): number {
  if (a.every((v, i) => v === b[i])) return 1;
  const side = (i: number): number => Math.max(0, Math.min(a[i + 2]!, b[i + 2]!) - Math.max(a[i]!, b[i]!));
  const area = (c: readonly number[]): number => Math.max(0, c[2]! - c[0]!) * Math.max(0, c[3]! - c[1]!);
  const common = side(0) * side(1);
  const union = area(a) + area(b) - common;
  return union > 0 ? common / union : 0;
}
