/** TfIdfVectorizer: counts n-grams of a pool, with words skipped in between, and weighs the counts. */

import { type InferContext, type Operator, registerOperator } from '../operator.js';
import { Tensor } from '../tensor.js';
import { tensorType } from '../type.js';

interface Pool {
  /** n-gram (joined) → its number in the pool. */
  readonly grams: ReadonlyMap<string, number>;
  readonly columns: readonly number[];
  readonly width: number;
}

/** Joins the words of an n-gram: a character that no number has and no text should. */
const separator = '\u0000';

function poolOf(attributes: InferContext['attributes']): Pool {
  const words = (
    (attributes['poolStrings'] as readonly string[] | undefined) ??
    (attributes['poolInt64s'] as readonly number[] | undefined) ??
    []
  ).map(String);
  const starts = attributes['ngramCounts'] as readonly number[];
  const columns = attributes['ngramIndexes'] as readonly number[];
  const grams = new Map<string, number>();
  let number = 0;
  starts.forEach((start, i) => {
    const size = i + 1;
    const end = starts[i + 1] ?? words.length;
    for (let at = start; at + size <= end; at += size) {
      grams.set(words.slice(at, at + size).join(separator), number++);
    }
  });
  return { grams, columns, width: columns.reduce((most, k) => Math.max(most, k + 1), 0) };
}

/** How often each n-gram of the pool occurs in a row of words. */
function count(row: readonly string[], pool: Pool, attributes: InferContext['attributes'], into: Float32Array): void {
  const shortest = attributes['minGramLength'] as number;
  const longest = attributes['maxGramLength'] as number;
  const skips = attributes['maxSkipCount'] as number;
  const add = (gram: string): void => {
    const number = pool.grams.get(gram);
    if (number !== undefined) into[pool.columns[number]!]! += 1;
  };
  for (let size = shortest; size <= longest; size++) {
    // A single word has no gaps: skipping would count it again.
    const most = size === 1 ? 0 : skips;
    for (let skip = 0; skip <= most; skip++) {
      const step = skip + 1;
      for (let at = 0; at + (size - 1) * step < row.length; at++) {
        add(Array.from({ length: size }, (_, k) => row[at + k * step]!).join(separator));
      }
    }
  }
}

export const tfIdfVectorizer: Operator = registerOperator({
  name: 'tfIdfVectorizer',
  kind: 'opaque',
  inputs: ['x'],
  attributes: {
    maxGramLength: undefined,
    minGramLength: undefined,
    maxSkipCount: undefined,
    mode: undefined,
    ngramCounts: undefined,
    ngramIndexes: undefined,
    poolInt64s: undefined,
    poolStrings: undefined,
    weights: undefined,
  },
  infer: (c) => {
    const { dims, dtype } = c.tensor(0);
    if (!['string', 'int32', 'int64'].includes(dtype)) c.fail(`${dtype} words are not possible`);
    if (dims !== undefined && (dims.length < 1 || dims.length > 2)) c.fail('the input must have dims [n] or [rows, n]');
    if (!['TF', 'IDF', 'TFIDF'].includes(c.attributes['mode'] as string))
      c.fail(`unknown mode '${c.attributes['mode'] as string}'`);
    const pool = poolOf(c.attributes);
    if (pool.grams.size > pool.columns.length)
      c.fail(`${String(pool.grams.size)} n-grams have ${String(pool.columns.length)} indexes`);
    return [tensorType('float32', dims && [...dims.slice(0, -1), pool.width])];
  },
  evaluate: (c) => {
    const x = c.tensor(0);
    const pool = poolOf(c.attributes);
    const words = Array.from(x.data as ArrayLike<unknown>, String);
    const length = x.dims.at(-1)!;
    const rows = x.dims.length === 1 ? 1 : x.dims[0]!;
    const out = new Float32Array(rows * pool.width);
    const mode = c.attributes['mode'] as string;
    const weights = c.attributes['weights'] as readonly number[] | undefined;
    for (let r = 0; r < rows; r++) {
      const line = out.subarray(r * pool.width, (r + 1) * pool.width);
      count(words.slice(r * length, (r + 1) * length), pool, c.attributes, line);
      if (mode === 'TF') continue;
      const weightOf = new Map(pool.columns.map((column, i) => [column, weights?.[i] ?? 1]));
      for (let k = 0; k < line.length; k++) {
        const weight = weightOf.get(k) ?? 1;
        line[k] = mode === 'IDF' ? (line[k]! > 0 ? weight : 0) : line[k]! * weight;
      }
    }
    return [new Tensor('float32', out, [...x.dims.slice(0, -1), pool.width])];
  },
});
