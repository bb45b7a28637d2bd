/** Shapes of values whose rank only the run tells. Known ranks need no operator: `dims` holds the shape. */

import { productOf } from '../dim.js';
import { type Operator, registerOperator } from '../operator.js';
import { elementCount, Tensor } from '../tensor.js';
import { tensorType } from '../type.js';

/** ONNX's start and end of Shape on a given rank: negative counts from the back, both clamped. */
export function shapeRange(start: number, end: number | undefined, rank: number): [number, number] {
  const clamp = (i: number): number => Math.min(Math.max(i < 0 ? i + rank : i, 0), rank);
  const from = clamp(start);
  return [from, Math.max(from, end === undefined ? rank : clamp(end))];
}

export const shapeOperators: readonly Operator[] = [
  registerOperator({
    name: 'shape',
    kind: 'opaque',
    inputs: ['x'],
    attributes: { start: 0, end: undefined },
    infer: (c) => {
      const { dims } = c.tensor(0);
      if (dims === undefined) return [tensorType('int64', [c.fresh('rank', { max: 64 })])];
      const [from, to] = shapeRange(
        c.attributes['start'] as number,
        c.attributes['end'] as number | undefined,
        dims.length,
      );
      return [tensorType('int64', [to - from])];
    },
    facts: (c) => {
      const { dims } = c.tensor(0);
      return [
        dims?.slice(
          ...shapeRange(c.attributes['start'] as number, c.attributes['end'] as number | undefined, dims.length),
        ),
      ];
    },
    evaluate: (c) => {
      const { dims } = c.tensor(0);
      return [
        new Tensor(
          'int64',
          dims.slice(
            ...shapeRange(c.attributes['start'] as number, c.attributes['end'] as number | undefined, dims.length),
          ),
        ),
      ];
    },
  }),
  registerOperator({
    name: 'size',
    kind: 'opaque',
    inputs: ['x'],
    infer: (c) => {
      c.tensor(0);
      return [tensorType('int64', [])];
    },
    facts: (c) => {
      const { dims } = c.tensor(0);
      return [dims && [productOf(dims)]];
    },
    evaluate: (c) => [new Tensor('int64', [elementCount(c.tensor(0).dims)], [])],
  }),
];
