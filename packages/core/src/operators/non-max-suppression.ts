/** nonMaxSuppression: boxes by falling score, without those that overlap a better one. Gives [batch, class, box] triples. */

import { dimBounds } from '../dim.js';
import { readNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { Tensor } from '../tensor.js';
import { tensorType } from '../type.js';

function inferNonMaxSuppression(c: InferContext): ReturnType<Operator['infer']> {
  const scores = c.tensor(1).dims;
  if (scores && scores.length !== 3) c.fail('scores must have rank 3: batch, class, box');
  const limit = c.has(2) ? c.fact(2)?.[0] : 0;
  const bounds = scores?.map((d) => dimBounds(d).max);
  const perClass = Math.min(bounds?.[2] ?? Infinity, limit === undefined ? Infinity : dimBounds(limit).max);
  const max = bounds ? bounds[0]! * bounds[1]! * Math.max(perClass, 0) : Infinity;
  return [tensorType('int64', [c.fresh('selected', Number.isSafeInteger(max) ? { max } : {}), 3])];
}

/** The boxes of one image, corners ordered, areas rounded as float32. */
class Boxes {
  readonly #top: Float64Array;
  readonly #left: Float64Array;
  readonly #bottom: Float64Array;
  readonly #right: Float64Array;
  readonly #area: Float64Array;

  /** @param data rows of y1, x1, y2, x2 in any order, or of centre x, centre y, width, height */
  constructor(data: Float64Array, count: number, centred: boolean) {
    [this.#top, this.#left, this.#bottom, this.#right, this.#area] = [0, 1, 2, 3, 4].map(
      () => new Float64Array(count),
    ) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
    for (let i = 0; i < count; i++) {
      const [a, b, p, q] = [data[4 * i]!, data[4 * i + 1]!, data[4 * i + 2]!, data[4 * i + 3]!];
      this.#top[i] = centred ? b - q / 2 : Math.min(a, p);
      this.#left[i] = centred ? a - p / 2 : Math.min(b, q);
      this.#bottom[i] = centred ? b + q / 2 : Math.max(a, p);
      this.#right[i] = centred ? a + p / 2 : Math.max(b, q);
      this.#area[i] = Math.fround(
        Math.fround(this.#bottom[i]! - this.#top[i]!) * Math.fround(this.#right[i]! - this.#left[i]!),
      );
    }
  }

  /** Intersection over union, rounded as float32 arithmetic would. */
  overlap(i: number, j: number): number {
    const height = Math.fround(Math.min(this.#bottom[i]!, this.#bottom[j]!) - Math.max(this.#top[i]!, this.#top[j]!));
    if (height <= 0) return 0;
    const width = Math.fround(Math.min(this.#right[i]!, this.#right[j]!) - Math.max(this.#left[i]!, this.#left[j]!));
    if (width <= 0 || this.#area[i]! <= 0 || this.#area[j]! <= 0) return 0;
    const common = Math.fround(height * width);
    return Math.fround(common / Math.fround(Math.fround(this.#area[i]! + this.#area[j]!) - common));
  }
}

function evaluateNonMaxSuppression(c: EvaluateContext): Tensor[] {
  const boxes = readNumbers(c.tensor(0));
  const scores = readNumbers(c.tensor(1));
  const [batches, classes, count] = c.tensor(1).dims as [number, number, number];
  const limit = c.has(2) ? (c.integers(2)[0] ?? 0) : 0;
  const iouThreshold = c.has(3) ? (readNumbers(c.tensor(3))[0] ?? 0) : 0;
  const scoreThreshold = c.has(4) ? readNumbers(c.tensor(4))[0] : undefined;
  const out: bigint[] = [];
  for (let n = 0; n < batches; n++) {
    const all = new Boxes(
      boxes.subarray(n * count * 4, (n + 1) * count * 4),
      count,
      c.attributes['centerPointBox'] === 1,
    );
    for (let k = 0; k < classes; k++) {
      const base = (n * classes + k) * count;
      const candidates: number[] = [];
      for (let i = 0; i < count; i++)
        if (scoreThreshold === undefined || scores[base + i]! > scoreThreshold) candidates.push(i);
      candidates.sort((a, b) => scores[base + b]! - scores[base + a]! || a - b);
      const kept: number[] = [];
      for (const i of candidates) {
        if (kept.length >= limit) break;
        if (!suppressed(all, i, kept, iouThreshold)) kept.push(i);
      }
      for (const i of kept) out.push(BigInt(n), BigInt(k), BigInt(i));
    }
  }
  return [new Tensor('int64', BigInt64Array.from(out), [out.length / 3, 3])];
}

function suppressed(boxes: Boxes, i: number, kept: readonly number[], threshold: number): boolean {
  for (let k = 0; k < kept.length; k++) if (boxes.overlap(i, kept[k]!) > threshold) return true;
  return false;
}

export const nonMaxSuppression: Operator = registerOperator({
  name: 'nonMaxSuppression',
  kind: 'opaque',
  inputs: ['boxes', 'scores', 'maxOutputBoxesPerClass?', 'iouThreshold?', 'scoreThreshold?'],
  attributes: { centerPointBox: 0 },
  infer: inferNonMaxSuppression,
  evaluate: evaluateNonMaxSuppression,
});
