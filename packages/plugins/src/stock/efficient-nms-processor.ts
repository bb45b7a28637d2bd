/** Greedy non-maximum suppression on the processor, in the float32 arithmetic of the kernels. */

const { fround } = Math;

export interface NmsNumbers {
  readonly images: number;
  readonly count: number;
  readonly classes: number;
  /** Boxes of each of `count`: 1, or one for each class. */
  readonly boxClasses: number;
  /** [images, count, boxClasses, 4]. */
  readonly boxes: Float64Array;
  /** [images, count, classes]. */
  readonly scores: Float64Array;
  /** [sets, count, 4], of all images or of each. */
  readonly anchors?: { readonly sets: number; readonly values: Float64Array } | undefined;
}

export interface NmsRules {
  /** Whether boxes are centre and size; otherwise two corners. */
  readonly isCentred: boolean;
  readonly isAgnostic: boolean;
  /** A class that takes no part; -1: none. */
  readonly background: number;
  /** Least score, as scores are given. */
  readonly threshold: number;
  readonly iouThreshold: number;
  /** Boxes to be found. */
  readonly most: number;
  /** Best scores that are looked at. */
  readonly mostCandidates: number;
}

type Corners = readonly [number, number, number, number];

export interface Found {
  readonly corners: Corners;
  readonly score: number;
  readonly label: number;
  readonly box: number;
}

/** What is kept of each image, best first. */
export function suppressImages(numbers: NmsNumbers, rules: NmsRules): Found[][] {
  return Array.from({ length: numbers.images }, (_, image) => suppressImage(numbers, rules, image));
}

function suppressImage(numbers: NmsNumbers, rules: NmsRules, image: number): Found[] {
  const { classes, scores } = numbers;
  const size = numbers.count * classes;
  const found: Found[] = [];
  const kept: Candidate[] = [];
  for (const index of bestScores(scores.subarray(image * size, (image + 1) * size), classes, rules)) {
    if (found.length >= rules.most) break;
    const label = index % classes;
    const box = (index - label) / classes;
    const corners = cornersOf(numbers, rules.isCentred, image, box, label);
    const candidate = candidateOf(corners, rules.isAgnostic ? 0 : label);
    if (kept.some((other) => overlap(candidate, other, rules.iouThreshold))) continue;
    kept.push(candidate);
    found.push({ corners, score: scores[image * size + index]!, label, box });
  }
  return found;
}

function bestScores(scores: Float64Array, classes: number, rules: NmsRules): Uint32Array {
  const passing: number[] = [];
  scores.forEach((score, index) => {
    if (score >= rules.threshold && index % classes !== rules.background) passing.push(index);
  });
  return Uint32Array.from(passing)
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .subarray(0, rules.mostCandidates);
}

function cornersOf(numbers: NmsNumbers, isCentred: boolean, image: number, box: number, label: number): Corners {
  const { count, boxClasses, boxes, anchors } = numbers;
  const at = ((image * count + box) * boxClasses + (boxClasses > 1 ? label : 0)) * 4;
  const given = four(boxes, at);
  const anchor = anchors && four(anchors.values, ((anchors.sets > 1 ? image : 0) * count + box) * 4);
  if (!isCentred) return anchor ? sumOf(ordered(given), ordered(anchor)) : given;
  const [x, y, w, h] = anchor ? decoded(given, anchor) : given;
  return rounded([x - w / 2, y - h / 2, x + w / 2, y + h / 2]);
}

function four(values: Float64Array, at: number): Corners {
  return [values[at]!, values[at + 1]!, values[at + 2]!, values[at + 3]!];
}

function rounded([a, b, c, d]: Corners): Corners {
  return [fround(a), fround(b), fround(c), fround(d)];
}

function sumOf(a: Corners, b: Corners): Corners {
  return rounded([a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]);
}

function decoded(b: Corners, a: Corners): Corners {
  return rounded([
    b[0] * a[2] + a[0],
    b[1] * a[3] + a[1],
    a[2] * fround(Math.exp(b[2])),
    a[3] * fround(Math.exp(b[3])),
  ]);
}

function ordered([a, b, c, d]: Corners): Corners {
  return [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
}

interface Candidate {
  readonly box: Corners;
  readonly area: number;
  readonly label: number;
}

function candidateOf(corners: Corners, label: number): Candidate {
  const box = ordered(corners);
  return { box, area: fround(fround(box[2] - box[0]) * fround(box[3] - box[1])), label };
}

/** Whether two boxes of one class intersect in `threshold` of their union. */
function overlap(a: Candidate, b: Candidate, threshold: number): boolean {
  if (a.label !== b.label) return false;
  const width = fround(Math.min(a.box[2], b.box[2]) - Math.max(a.box[0], b.box[0]));
  const height = fround(Math.min(a.box[3], b.box[3]) - Math.max(a.box[1], b.box[1]));
  if (!(width > 0 && height > 0)) return false;
  const common = fround(width * height);
  return common >= fround(fround(threshold) * fround(fround(a.area + b.area) - common));
}
