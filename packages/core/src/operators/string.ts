/** Operators on strings: concatenation, splitting, matching, normalisation. Lengths are in code points, as ONNX's UTF-8. */

import { broadcastDims } from '../broadcast.js';
import type { Dim } from '../dim.js';
import { type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { broadcastStrides, copyStrided, rowMajorStrides } from './strided.js';

function strings(c: InferContext, i: number): readonly Dim[] | undefined {
  const { dtype, dims } = c.tensor(i);
  if (dtype !== 'string') c.fail(`input ${String(i)} must be a string tensor`);
  return dims;
}

/** The strings of `x` as if it had `dims`. */
function broadcast(x: Tensor, dims: readonly number[]): string[] {
  const out = new Array<string>(elementCount(dims)).fill('');
  copyStrided(
    x.data,
    { offset: 0, strides: broadcastStrides(x.dims, dims) },
    out,
    { offset: 0, strides: rowMajorStrides(dims) },
    dims,
  );
  return out;
}

/** Python's str.split, which ONNX's StringSplit is: without a delimiter, runs of whitespace separate. */
function splitString(s: string, delimiter: string, maxsplit: number): string[] {
  if (delimiter === '') {
    const parts: string[] = [];
    let rest = s.trimStart();
    while (rest !== '') {
      const gap = parts.length < maxsplit ? rest.search(/\s/) : -1;
      if (gap < 0) {
        parts.push(parts.length < maxsplit ? rest.trimEnd() : rest);
        break;
      }
      parts.push(rest.slice(0, gap));
      rest = rest.slice(gap).trimStart();
    }
    return parts;
  }
  if (s === '') return [];
  const all = s.split(delimiter);
  return all.length <= maxsplit + 1 ? all : [...all.slice(0, maxsplit), all.slice(maxsplit).join(delimiter)];
}

/** A pattern that matches a whole string, or a sentence that says why there is none. */
export function wholeMatch(pattern: string): RegExp | string {
  try {
    return new RegExp(`^(?:${pattern})$`, 'su');
  } catch (error) {
    return `pattern ${JSON.stringify(pattern)}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function normalize(lines: readonly string[], attributes: InferContext['attributes']): string[] {
  const stopwords = (attributes['stopwords'] as readonly string[] | undefined) ?? [];
  const sensitive = attributes['isCaseSensitive'] === 1;
  const action = attributes['caseChangeAction'] as string;
  const locale = (attributes['locale'] as string).replaceAll('_', '-');
  const lower = (s: string): string => s.toLocaleLowerCase(locale);
  const stop = new Set(sensitive ? stopwords : stopwords.map(lower));
  const kept = lines.filter((s) => !stop.has(sensitive ? s : lower(s)));
  if (action === 'NONE') return kept;
  return kept.map((s) => (action === 'UPPER' ? s.toLocaleUpperCase(locale) : lower(s)));
}

export const stringOperators: readonly Operator[] = [
  registerOperator({
    name: 'stringConcat',
    kind: 'opaque',
    inputs: ['x', 'y'],
    infer: (c) => {
      const [x, y] = [strings(c, 0), strings(c, 1)];
      const dims = x && y && broadcastDims(x, y);
      if (x && y && !dims) c.fail('the inputs do not broadcast');
      return [tensorType('string', dims)];
    },
    evaluate: (c) => {
      const [x, y] = [c.tensor(0), c.tensor(1)];
      const dims = broadcastDims(x.dims, y.dims) as number[] | undefined;
      if (!dims) return c.fail('the inputs do not broadcast');
      const [a, b] = [broadcast(x, dims), broadcast(y, dims)];
      return [
        new Tensor(
          'string',
          a.map((s, i) => s + b[i]!),
          dims,
        ),
      ];
    },
  }),
  registerOperator({
    name: 'stringSplit',
    kind: 'opaque',
    inputs: ['x'],
    outputs: ['parts', 'counts'],
    attributes: { delimiter: '', maxsplit: undefined },
    infer: (c) => {
      const dims = strings(c, 0);
      return [tensorType('string', dims && [...dims, c.fresh('stringSplit')]), tensorType('int64', dims)];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const limit = (c.attributes['maxsplit'] as number | undefined) ?? Infinity;
      const parts = (x.data as readonly string[]).map((s) =>
        splitString(s, c.attributes['delimiter'] as string, limit),
      );
      const width = parts.reduce((most, p) => Math.max(most, p.length), 0);
      const flat = parts.flatMap((p) => [...p, ...new Array<string>(width - p.length).fill('')]);
      return [
        new Tensor('string', flat, [...x.dims, width]),
        new Tensor(
          'int64',
          parts.map((p) => p.length),
          x.dims,
        ),
      ];
    },
  }),
  registerOperator({
    name: 'regexFullMatch',
    kind: 'opaque',
    inputs: ['x'],
    attributes: { pattern: undefined },
    infer: (c) => {
      const regex = wholeMatch(c.attributes['pattern'] as string);
      if (typeof regex === 'string') c.fail(regex);
      return [tensorType('bool', strings(c, 0))];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const regex = wholeMatch(c.attributes['pattern'] as string);
      if (typeof regex === 'string') return c.fail(regex);
      return [
        new Tensor(
          'bool',
          Uint8Array.from(x.data as readonly string[], (s) => (regex.test(s) ? 1 : 0)),
          x.dims,
        ),
      ];
    },
  }),
  registerOperator({
    name: 'stringNormalizer',
    kind: 'opaque',
    inputs: ['x'],
    attributes: { caseChangeAction: 'NONE', isCaseSensitive: 0, stopwords: undefined, locale: 'en-US' },
    infer: (c) => {
      const dims = strings(c, 0);
      if (!['NONE', 'LOWER', 'UPPER'].includes(c.attributes['caseChangeAction'] as string))
        c.fail(`unknown caseChangeAction '${c.attributes['caseChangeAction'] as string}'`);
      if (
        dims !== undefined &&
        dims.length !== 1 &&
        !(dims.length === 2 && (typeof dims[0] !== 'number' || dims[0] === 1))
      )
        c.fail('the input must have dims [n] or [1, n]');
      const words = (c.attributes['stopwords'] as readonly string[] | undefined) ?? [];
      if (words.length === 0) return [tensorType('string', dims)];
      return [tensorType('string', dims && [...dims.slice(0, -1), c.fresh('words')])];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const words = normalize(x.data as readonly string[], c.attributes);
      // Nothing left: the standard wants one empty string.
      const stopping = ((c.attributes['stopwords'] as readonly string[] | undefined) ?? []).length > 0;
      const out = words.length === 0 && stopping ? [''] : words;
      return [new Tensor('string', out, [...x.dims.slice(0, -1), out.length])];
    },
  }),
];
