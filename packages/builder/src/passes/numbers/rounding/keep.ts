/**
 * Which contractions stay in float32 although 16 bits are allowed: as many of the first ones as it takes to hold what
 * arrives below a tolerance. First ones, because their errors go through all others; in one piece, because a change of
 * format is a rounding, and may be a step, too.
 */

import { type DType, type Graph, type Node, type Steps, topologicalOrder } from '@tensorwright/core';
import { multiplications } from './contractions.js';
import { predictedError, roundingOf } from './model.js';

export interface Kept {
  readonly contractions: ReadonlySet<Node>;
  /** Predicted with all contractions in 16 bits, and with these in float32. */
  readonly before: number;
  readonly after: number;
  /** What it is held to; above: the largest share would not be enough. */
  readonly limit: number;
}

/** Significant bits of the formats, and the error that networks in them are held to unless told otherwise. */
const formats: Readonly<Partial<Record<DType, { readonly bits: number; readonly tolerance: number }>>> = {
  float16: { bits: 11, tolerance: 5e-3 },
  bfloat16: { bits: 8, tolerance: 3e-2 },
};

/** Of the tolerance: what is predicted with contractions in float32 is to be below, since predictions err by some of it. */
const margin = 0.8;

/** Of all multiplications; where more of them would have to stay in float32, 16 bits would hardly be left. */
const largestShare = 3 / 4;

/**
 * @param tolerance root-mean-square error over the standard deviation; undefined: the format's
 * @param isNarrow contractions that would run in 16 bits
 */
export function* contractionsToKeep(
  graph: Graph,
  format: DType,
  tolerance: number | undefined,
  isNarrow: (node: Node) => boolean,
): Steps<Kept> {
  const { bits, tolerance: usual } = formats[format]!;
  const limit = tolerance ?? usual;
  const rounding = roundingOf(bits);
  const none = { contractions: new Set<Node>(), before: 0, after: 0, limit };
  if (limit === Infinity) return none;
  const before = yield* predictedError(graph, rounding, isNarrow);
  if (before <= limit) return { ...none, before, after: before };

  const narrow = topologicalOrder(graph).filter((n) => isFloatContraction(n) && isNarrow(n));
  const work = narrow.map(multiplications);
  const all = work.reduce<number>((n, w) => n + (w ?? 0), 0);
  let [most, sum] = [0, 0];
  while (most < narrow.length && work[most] !== undefined && (sum += work[most]!) <= largestShare * all) most++;

  function* errorOf(count: number): Steps<number> {
    const kept = new Set(narrow.slice(0, count));
    return yield* predictedError(graph, rounding, (n) => isNarrow(n) && !kept.has(n));
  }
  const wanted = margin * limit;
  let after = yield* errorOf(most);
  if (after > wanted) return { ...none, before, after: before };
  // The fewest that do: more are never worse by much.
  let [low, high] = [0, most];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const error = yield* errorOf(middle);
    if (error <= wanted) [high, after] = [middle, error];
    else low = middle;
  }
  return { contractions: new Set(narrow.slice(0, high)), before, after, limit };
}

function isFloatContraction({ op, outputs }: Node): boolean {
  const type = outputs[0]?.type;
  return (op === 'conv' || op === 'dot') && type?.kind === 'tensor' && type.dtype === 'float32';
}
