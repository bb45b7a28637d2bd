/** Softmax, LogSoftmax, Hardmax. To opset 12 they flatten their input to a matrix at `axis`. */

import { dimBounds, productOf, Tensor, type Value } from '@tensorwright/core';
import { castTo } from './elementwise.js';
import type { ImportContext, ImporterTable, ImportFunction } from './importer.js';
import { reshaped } from './shape.js';

const alongAxis =
  (body: (c: ImportContext, x: Value, axis: number) => Value): ImportFunction =>
  (c) => {
    const x = c.input(0);
    const dims = c.dimsOf(x);
    if (c.opset >= 13) return body(c, x, c.axis(c.int('axis', -1), dims.length));
    const given = c.int('axis', 1);
    const axis = given === dims.length ? given : c.axis(given, dims.length);
    if (axis === dims.length - 1) return body(c, x, axis);
    const flat = reshaped(c, x, [productOf(dims.slice(0, axis)), productOf(dims.slice(axis))]);
    return reshaped(c, body(c, flat, 1), dims);
  };

/** Behind an axis that may be empty, -Infinity: it is never the first largest element of one that is not. */
function neverEmpty(c: ImportContext, x: Value, axis: number): Value {
  const dims = c.dimsOf(x);
  if (dimBounds(dims[axis]!).min > 0) return x;
  const low = new Array<number>(dims.length).fill(0);
  return c.op('pad', [x, c.scalar(-Infinity, c.type(x).dtype)], { low, high: low.with(axis, 1) });
}

/** One where the first largest element is, else zero. */
function hardmax(c: ImportContext, x: Value, axis: number): Value {
  const dims = c.dimsOf(x);
  const extent = dims[axis]!;
  // Nothing has no largest element, and needs none.
  if (extent === 0) return x;
  const largest = c.op('argMax', [neverEmpty(c, x, axis)], { axis, keepdims: true });
  const count =
    typeof extent === 'number'
      ? c.constant(
          new Tensor(
            'int64',
            Array.from({ length: extent }, (_, i) => i),
          ),
        )
      : c.op('range', [c.scalar(0, 'int64'), c.dims(extent), c.scalar(1, 'int64')]);
  const positions = reshaped(c, count, [extent, ...new Array<number>(dims.length - axis - 1).fill(1)]);
  return castTo(c, c.op('equal', [positions, largest]), c.type(x).dtype);
}

export const softmaxImporters: ImporterTable = {
  Softmax: alongAxis((c, x, axis) => c.op('softmax', [x], { axis })),
  LogSoftmax: alongAxis((c, x, axis) => c.op('logSoftmax', [x], { axis })),
  Hardmax: alongAxis(hardmax),
};
