/** Strings where other dtypes have map operators: comparison, choice, conversion from and to numbers. */

import { broadcastDims } from '../broadcast.js';
import { type DType, dtypeInfo, isBig, isFloat } from '../dtype.js';
import { elementsOf, readNumbers, tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { broadcastOffset, inferBroadcast } from './map.js';

/** The shape all inputs broadcast to, and for each its offset of the element at a position. */
function broadcast(c: EvaluateContext): {
  dims: readonly number[];
  offset: (input: number, position: number) => number;
} {
  const shapes = c.inputs.map((_, i) => c.tensor(i).dims);
  let dims: readonly number[] = [];
  for (const s of shapes) dims = (broadcastDims(dims, s) ?? c.fail('the shapes do not broadcast')) as readonly number[];
  return { dims, offset: (input, position) => broadcastOffset(position, dims, shapes[input]!) };
}

/** ONNX's reading of numeric strings: decimal and scientific notation, INF and NaN in any case. */
function parseNumber(text: string): number {
  const trimmed = text.trim();
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(trimmed);
  if (special) return special[2]!.toLowerCase() === 'nan' ? NaN : special[1] === '-' ? -Infinity : Infinity;
  return Number(trimmed === '' ? NaN : trimmed);
}

/** Shortest decimal text that reads back as the same number of the dtype. */
function formatNumber(value: number, dtype: DType): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const text = dtype === 'float64' ? String(value) : shortest(value, dtype);
  return isFloat(dtype) && /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function shortest(value: number, dtype: DType): string {
  if (!isFloat(dtype)) return String(value);
  const same = (candidate: number): boolean => readNumbers(tensorFromNumbers(dtype, [candidate], []))[0] === value;
  for (let digits = 1; digits < 17; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (same(candidate)) return String(candidate);
  }
  return String(value);
}

export const textOperators: readonly Operator[] = [
  registerOperator({
    name: 'equalStrings',
    kind: 'opaque',
    inputs: ['a', 'b'],
    infer: (c) => [inferBroadcast(c, 'bool')],
    evaluate: (c) => {
      const [a, b] = [c.tensor(0).data as readonly string[], c.tensor(1).data as readonly string[]];
      const { dims, offset } = broadcast(c);
      const out = new Uint8Array(elementCount(dims));
      for (let i = 0; i < out.length; i++) out[i] = a[offset(0, i)] === b[offset(1, i)] ? 1 : 0;
      return [new Tensor('bool', out, dims)];
    },
  }),
  registerOperator({
    name: 'whereStrings',
    kind: 'opaque',
    inputs: ['condition', 'x', 'y'],
    infer: (c) => [inferBroadcast(c, 'string')],
    evaluate: (c) => {
      const condition = c.tensor(0).data as Uint8Array;
      const choices = [c.tensor(2).data as readonly string[], c.tensor(1).data as readonly string[]];
      const { dims, offset } = broadcast(c);
      const out: string[] = [];
      for (let i = 0; i < elementCount(dims); i++) {
        const chosen = condition[offset(0, i)]!;
        out.push(choices[chosen]![offset(2 - chosen, i)]!);
      }
      return [new Tensor('string', out, dims)];
    },
  }),
  registerOperator({
    name: 'parseNumbers',
    kind: 'opaque',
    inputs: ['x'],
    attributes: { to: undefined },
    infer: (c) => [tensorType(c.attributes['to'] as DType, c.tensor(0).dims)],
    evaluate: (c) => {
      const x = c.tensor(0);
      const to = c.attributes['to'] as DType;
      const texts = x.data as readonly string[];
      if (isBig(to) && texts.every((t) => /^\s*[+-]?\d+\s*$/.test(t)))
        return [
          new Tensor(
            to,
            texts.map((t) => BigInt(t.trim().replace(/^\+/, ''))),
            x.dims,
          ),
        ];
      return [tensorFromNumbers(to, texts.map(parseNumber), x.dims)];
    },
  }),
  registerOperator({
    name: 'formatNumbers',
    kind: 'opaque',
    inputs: ['x'],
    infer: (c) => [tensorType('string', c.tensor(0).dims)],
    evaluate: (c) => {
      const x = c.tensor(0);
      if (isBig(x.dtype)) return [new Tensor('string', Array.from(elementsOf(x) as ArrayLike<bigint>, String), x.dims)];
      const isBool = dtypeInfo(x.dtype).class === 'bool';
      return [
        new Tensor(
          'string',
          Array.from(readNumbers(x), (v) => (isBool ? (v === 0 ? 'False' : 'True') : formatNumber(v, x.dtype))),
          x.dims,
        ),
      ];
    },
  }),
];
