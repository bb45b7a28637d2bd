/** ai.onnx.ml's maps: rows of scores as maps from labels, and maps as rows of features. */

import { elementsOf, tensorOf } from '../elements.js';
import {
  type EvaluateContext,
  type InferContext,
  type MapValue,
  type Operator,
  registerOperator,
} from '../operator.js';
import { Tensor } from '../tensor.js';
import { type MapType, tensorType } from '../type.js';

function mapType(c: InferContext): MapType {
  const type = c.inputs[0]?.type;
  return type?.kind === 'map' ? type : c.fail('input 0 must be a map');
}

function mapValue(c: EvaluateContext): MapValue {
  const value = c.inputs[0];
  return value !== undefined && !(value instanceof Tensor) && value.kind === 'map'
    ? value
    : c.fail('input 0 must be a map');
}

/** The one element of a map's value. */
function element(c: EvaluateContext, value: unknown): unknown {
  return value instanceof Tensor && value.size === 1
    ? (elementsOf(value as Tensor) as ArrayLike<unknown>)[0]
    : c.fail('the values of the map must be scalars');
}

export const mapValueOperators: readonly Operator[] = [
  /** One map for each row of x, from the labels to the row's elements. */
  registerOperator({
    name: 'zipMap',
    kind: 'opaque',
    inputs: ['x', 'labels'],
    infer: (c) => {
      const labels = c.tensor(1).dtype;
      if (labels !== 'int64' && labels !== 'string') c.fail(`labels cannot be ${labels}`);
      return [
        {
          kind: 'sequence',
          element: { kind: 'map', key: labels as MapType['key'], element: tensorType(c.tensor(0).dtype, []) },
        },
      ];
    },
    evaluate: (c) => {
      const [x, labels] = [c.tensor(0), c.tensor(1)];
      const columns = x.dims.at(-1) ?? 1;
      if (columns !== labels.size) c.fail(`${String(columns)} columns have ${String(labels.size)} labels`);
      const elements = elementsOf(x) as ArrayLike<number>;
      const keys = Array.from(labels.data as ArrayLike<bigint | string>);
      const items = Array.from({ length: columns === 0 ? 0 : x.size / columns }, (_, row): MapValue => ({
        kind: 'map',
        entries: new Map(keys.map((key, k) => [key, tensorOf(x.dtype, [elements[row * columns + k]!], [])])),
      }));
      return [{ kind: 'sequence', items }];
    },
  }),
  /** [1, n]: the map's value for each key of the vocabulary, 0 where it has none. */
  registerOperator({
    name: 'dictVectorizer',
    kind: 'opaque',
    inputs: ['map', 'vocabulary'],
    infer: (c) => {
      const { key, element: value } = mapType(c);
      if (value.kind !== 'tensor') return c.fail('the values of the map must be tensors');
      if (c.tensor(1).dtype !== key) c.fail(`the vocabulary must be ${key}`);
      return [tensorType(value.dtype, [1, ...c.dims(1)])];
    },
    evaluate: (c) => {
      const { entries } = mapValue(c);
      const type = c.outputTypes[0];
      const dtype = type?.kind === 'tensor' ? type.dtype : c.fail('the output must be a tensor');
      const none = dtype === 'string' ? '' : dtype === 'int64' ? 0n : 0;
      const values = Array.from(c.tensor(1).data as ArrayLike<bigint | string>, (key) =>
        entries.has(key) ? element(c, entries.get(key)) : none,
      );
      return [tensorOf(dtype, values as number[], [1, values.length])];
    },
  }),
  /** [1, n]: the values by ascending key; with `maxMap` at the places that the keys name. */
  registerOperator({
    name: 'castMap',
    kind: 'opaque',
    inputs: ['map'],
    attributes: { to: 'float32', maxMap: undefined },
    infer: (c) => {
      const { key } = mapType(c);
      const { maxMap, to } = c.attributes as { maxMap?: number; to: 'float32' | 'int64' | 'string' };
      if (key !== 'int64') c.fail('the keys must be int64');
      if (!['float32', 'int64', 'string'].includes(to)) c.fail(`maps cannot be cast to ${to}`);
      return [tensorType(to, [1, maxMap ?? c.fresh('entries')])];
    },
    evaluate: (c) => {
      const { maxMap, to } = c.attributes as { maxMap?: number; to: 'float32' | 'int64' | 'string' };
      const entries = [...mapValue(c).entries].map(([key, value]): [number, unknown] => [
        Number(key),
        element(c, value),
      ]);
      const convert = (v: unknown): unknown =>
        to === 'string' ? String(v) : to === 'int64' ? BigInt(Math.trunc(Number(v))) : Number(v);
      const out = new Array<unknown>(maxMap ?? entries.length).fill(to === 'string' ? '' : to === 'int64' ? 0n : 0);
      entries
        .sort((a, b) => a[0] - b[0])
        .forEach(([key, value], i) => {
          const at = maxMap === undefined ? i : key;
          if (at >= 0 && at < out.length) out[at] = convert(value);
        });
      return [tensorOf(to, out as number[], [1, out.length])];
    },
  }),
];
