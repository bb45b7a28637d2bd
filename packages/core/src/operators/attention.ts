/**
 * attention: softmax(q · kᵀ · scale + masks) · v. q [B, Hq, L, D], k [B, Hkv, S, D], v [B, Hkv, S, Dv], every key head
 * serving Hq / Hkv query heads. Caches and the packing of heads are movement around it.
 */

import { type Dim, exactQuotient } from '../dim.js';
import { readNumbers, tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { multiplyInto, numbersOf } from './multiply.js';

/** What the scores of attention are taken at; ONNX's qk_matmul_output_mode. */
export const scoreStages = ['raw', 'softcapped', 'masked', 'probabilities'] as const;
export type ScoreStage = (typeof scoreStages)[number];

/**
 * scale undefined: 1 / √D. Query i stands at position i + offset: `causalOffset`, or queryOffsets [B] where given.
 * isCausal: it sees keys up to its position; the windows bound the distance to both sides, −1: no bound. Keys from
 * keyLengths [B] on are padding. softcap 0: none. sinks [Hq] are scores that take part in the softmax without a value.
 * masksInTurn: the masks of the first axis serve the batches in turn, mask b mod M batch b; B is a multiple of M.
 */
const sharedAttributes = {
  scale: undefined,
  isCausal: false,
  causalOffset: 0,
  softcap: 0,
  leftWindow: -1,
  rightWindow: -1,
  masksInTurn: false,
};

interface AttentionDims {
  readonly batch: Dim;
  readonly heads: Dim;
  readonly queries: Dim;
  readonly keys: Dim;
}

function checkHeads(c: InferContext): AttentionDims {
  const q = c.dims(0);
  const k = c.dims(1);
  if (q.length !== 4 || k.length !== 4) c.fail('q and k must have rank 4: batch, heads, positions, head size');
  c.agree(q[3]!, k[3]!, 'head sizes of q and k');
  if (exactQuotient(q[1]!, k[1]!) === undefined && typeof q[1] === 'number' && typeof k[1] === 'number') {
    c.fail(`${String(q[1])} query heads are no multiple of ${String(k[1])} key heads`);
  }
  return { batch: c.agree(q[0]!, k[0]!, 'batch of q and k'), heads: q[1]!, queries: q[2]!, keys: k[2]! };
}

/** A mask broadcasts but for its last axis, which may be shorter than the keys, and for the first one where masks take turns. */
function agreeMask(c: InferContext, input: number, [batch, ...others]: readonly [Dim, Dim, Dim]): void {
  const inTurn = c.attributes['masksInTurn'] === true;
  const all = c.has(input) ? (c.tensor(input).dims ?? []) : [];
  if (inTurn && all.length === 4 && typeof batch === 'number' && exactQuotient(batch, all[0]!) === undefined)
    c.fail(`${String(batch)} batches are no multiple of ${String(all[0])} masks`);
  const dims = all.slice(inTurn ? -3 : 0, -1);
  const expected = [batch, ...others];
  for (let k = 1; k <= Math.min(dims.length, expected.length); k++)
    c.agreeWithin(
      expected[expected.length - k]!,
      dims[dims.length - k]!,
      `extents of axis -${String(k + 1)} of scores and mask`,
    );
}

type Bias = (b: number, h: number, i: number, j: number) => number;

/** Indices of the optional inputs. */
interface Extras {
  readonly mask: number;
  readonly lengths: number;
  readonly offsets: number;
  readonly sinks: number;
}

/** The additive bias of a score, −Infinity: not allowed; undefined where every key is allowed. */
function biasOf(c: EvaluateContext, extras: Extras, heads: number, queries: number, keys: number): Bias | undefined {
  const causal = c.attributes['isCausal'] === true;
  const left = c.attributes['leftWindow'] as number;
  const right = c.attributes['rightWindow'] as number;
  const mask = c.has(extras.mask) ? c.tensor(extras.mask) : undefined;
  const lengths = c.has(extras.lengths) ? c.integers(extras.lengths) : undefined;
  const offsets = c.has(extras.offsets) ? c.integers(extras.offsets) : undefined;
  if (!mask && !lengths && !causal && left < 0 && right < 0) return undefined;
  const fixed = c.dim(c.attributes['causalOffset'] as Dim);
  const values = mask && readNumbers(mask);
  const boolean = mask?.dtype === 'bool';
  // Strides of the mask aligned to [B, H, L, S] from the right; extents of 1 broadcast, except over the keys.
  const dims = mask ? [...new Array<number>(Math.max(0, 4 - mask.dims.length)).fill(1), ...mask.dims] : [1, 1, 1, 1];
  const width = dims[3]!;
  const strides = [dims[1]! * dims[2]! * width, dims[2]! * width, width, 1].map((s, axis) =>
    axis < 3 && dims[axis] === 1 ? 0 : s,
  );
  const masks = c.attributes['masksInTurn'] === true ? dims[0]! : Infinity;
  if (
    mask &&
    (dims.length > 4 || (dims[1] !== 1 && dims[1] !== heads) || (dims[2] !== 1 && dims[2] !== queries) || width > keys)
  ) {
    c.fail(
      `the mask [${mask.dims.join(', ')}] does not broadcast to [batch, ${String(heads)}, ${String(queries)}, ${String(keys)}]`,
    );
  }
  return (b, h, i, j) => {
    const position = i + (offsets ? offsets[b]! : fixed);
    if (lengths && j >= lengths[b]!) return -Infinity;
    if (causal && j > position) return -Infinity;
    if (left >= 0 && position - j > left) return -Infinity;
    if (right >= 0 && j - position > right) return -Infinity;
    if (!values) return 0;
    // A mask may be shorter than the keys: the rest is not allowed.
    if (j >= width) return -Infinity;
    const value = values[(b % masks) * strides[0]! + h * strides[1]! + i * strides[2]! + j * strides[3]!]!;
    return boolean ? (value === 0 ? -Infinity : 0) : value;
  };
}

/** Calls `use` with the scores [L, S] of every batch and head, taken at `stage`. */
function forEachHead(
  c: EvaluateContext,
  extras: Extras,
  stage: ScoreStage,
  use: (scores: Float64Array, b: number, h: number) => void,
): void {
  const q = c.tensor(0);
  const k = c.tensor(1);
  const [batch, heads, queries, size] = q.dims as [number, number, number, number];
  const [, keyHeads, keys] = k.dims as [number, number, number, number];
  if (heads % keyHeads !== 0) c.fail(`${String(heads)} query heads are no multiple of ${String(keyHeads)} key heads`);
  const qData = numbersOf(q);
  const kData = numbersOf(k);
  const scale = (c.attributes['scale'] as number | undefined) ?? 1 / Math.sqrt(size);
  const softcap = c.attributes['softcap'] as number;
  const biased = stage === 'masked' || stage === 'probabilities';
  const bias = biased ? biasOf(c, extras, heads, queries, keys) : undefined;
  const sinks = c.has(extras.sinks) ? readNumbers(c.tensor(extras.sinks)) : undefined;
  const index = (n: number, stride: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i * stride);
  const rows = index(queries, size);
  const columns = index(keys, size);
  const inner = index(size, 1);
  const scores = new Float64Array(queries * keys);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const keyHead = Math.floor(h / (heads / keyHeads));
      scores.fill(0);
      multiplyInto(
        scores,
        { data: qData, base: (b * heads + h) * queries * size, outer: rows, inner },
        { data: kData, base: (b * keyHeads + keyHead) * keys * size, outer: columns, inner },
      );
      for (let at = 0; at < scores.length; at++) scores[at] = scores[at]! * scale;
      if (stage !== 'raw' && softcap > 0)
        for (let at = 0; at < scores.length; at++) scores[at] = softcap * Math.tanh(scores[at]! / softcap);
      if (bias) addBias(scores, bias, b, h, keys);
      if (stage === 'probabilities') {
        for (let i = 0; i < queries; i++) softmaxInPlace(scores.subarray(i * keys, (i + 1) * keys), sinks?.[h]);
      }
      use(scores, b, h);
    }
  }
}

function addBias(scores: Float64Array, bias: Bias, b: number, h: number, keys: number): void {
  for (let at = 0; at < scores.length; at++) {
    const value = bias(b, h, Math.floor(at / keys), at % keys);
    scores[at] = value === -Infinity ? value : scores[at]! + value;
  }
}

/** Rows without any allowed key become zeros. */
function softmaxInPlace(row: Float64Array, sink: number | undefined): void {
  let max = sink ?? -Infinity;
  for (let j = 0; j < row.length; j++) if (row[j]! > max) max = row[j]!;
  let sum = sink === undefined ? 0 : Math.exp(sink - max);
  for (let j = 0; j < row.length; j++) {
    const e = row[j] === -Infinity ? 0 : Math.exp(row[j]! - max);
    row[j] = e;
    sum += e;
  }
  if (sum !== 0) for (let j = 0; j < row.length; j++) row[j] = row[j]! / sum;
}

function evaluateAttention(c: EvaluateContext): Tensor[] {
  const q = c.tensor(0);
  const v = c.tensor(2);
  const [batch, heads, queries] = q.dims as [number, number, number, number];
  const [, keyHeads, keys, size] = v.dims as [number, number, number, number];
  const values = numbersOf(v);
  const out = new Float64Array(batch * heads * queries * size);
  forEachHead(c, { mask: 3, lengths: 4, offsets: 5, sinks: 6 }, 'probabilities', (weights, b, h) => {
    const base = (b * keyHeads + Math.floor(h / (heads / keyHeads))) * keys * size;
    for (let i = 0; i < queries; i++) {
      const to = ((b * heads + h) * queries + i) * size;
      for (let j = 0; j < keys; j++) {
        const weight = weights[i * keys + j]!;
        // A masked value does not count, be it NaN.
        if (weight === 0) continue;
        const from = base + j * size;
        for (let d = 0; d < size; d++) out[to + d] = out[to + d]! + weight * values[from + d]!;
      }
    }
  });
  return [tensorFromNumbers(q.dtype, out, [batch, heads, queries, size])];
}

export const attentionOperators: readonly Operator[] = [
  registerOperator({
    name: 'attention',
    kind: 'opaque',
    inputs: ['q', 'k', 'v', 'mask?', 'keyLengths?', 'queryOffsets?', 'sinks?'],
    attributes: sharedAttributes,
    infer: (c) => {
      const { batch, heads, queries, keys } = checkHeads(c);
      const v = c.dims(2);
      if (v.length !== 4) c.fail('v must have rank 4: batch, heads, positions, head size');
      c.agree(keys, v[2]!, 'positions of k and v');
      c.agree(c.dims(1)[1]!, v[1]!, 'heads of k and v');
      c.agree(batch, v[0]!, 'batches of k and v');
      agreeMask(c, 3, [batch, heads, queries]);
      return [tensorType(c.tensor(0).dtype, [batch, heads, queries, v[3]!])];
    },
    evaluate: evaluateAttention,
    numerics: { safeIn16Bit: true },
  }),
  /** What attention multiplies with v, or an earlier stage of it: [B, Hq, L, S]. */
  registerOperator({
    name: 'attentionScores',
    kind: 'opaque',
    inputs: ['q', 'k', 'mask?', 'keyLengths?', 'queryOffsets?', 'sinks?'],
    attributes: { ...sharedAttributes, stage: 'raw' },
    infer: (c) => {
      const { batch, heads, queries, keys } = checkHeads(c);
      if (!scoreStages.includes(c.attributes['stage'] as ScoreStage))
        c.fail(`stage must be one of ${scoreStages.join(', ')}`);
      agreeMask(c, 2, [batch, heads, queries]);
      return [tensorType(c.tensor(0).dtype, [batch, heads, queries, keys])];
    },
    evaluate: (c) => {
      const q = c.tensor(0);
      const dims = [q.dims[0]!, q.dims[1]!, q.dims[2]!, c.tensor(1).dims[2]!];
      const size = dims[2]! * dims[3]!;
      const out = new Float64Array(dims[0]! * dims[1]! * size);
      forEachHead(
        c,
        { mask: 2, lengths: 3, offsets: 4, sinks: 5 },
        c.attributes['stage'] as ScoreStage,
        (scores, b, h) => {
          out.set(scores, (b * dims[1]! + h) * size);
        },
      );
      return [tensorFromNumbers(q.dtype, out, dims)];
    },
  }),
];
