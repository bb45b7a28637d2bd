/** Constant, ConstantOfShape, Identity, EyeLike, Range and their kin: values made from nothing but attributes and shapes. */

import { ConstantData, type DType, elementCount, Tensor, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';

function constant(c: ImportContext): Value {
  const tensor = c.tensor('value') ?? c.tensor('sparse_value');
  if (tensor) return c.constant(tensor);
  if (c.hasAttribute('value_float')) return c.scalar(c.float('value_float', 0), 'float32');
  if (c.hasAttribute('value_int')) return c.scalar(c.int('value_int', 0), 'int64');
  if (c.hasAttribute('value_string')) return c.constant(new Tensor('string', [c.string('value_string', '')], []));
  const floats = c.floats('value_floats');
  if (floats) return c.constant(new Tensor('float32', floats));
  const ints = c.ints('value_ints');
  if (ints) return c.constant(new Tensor('int64', ints));
  const strings = c.strings('value_strings');
  if (strings) return c.constant(new Tensor('string', strings));
  return c.fail('it has no value attribute');
}

/** `value` spread over a shape that a tensor gives. */
export function filled(c: ImportContext, value: Value, shape: Value): Value {
  const dims = c.fact(shape);
  if (!dims)
    return c.op('expandDynamic', [
      value,
      c.type(shape).dtype === 'int64' ? shape : c.op('cast', [shape], { to: 'int64' }),
    ]);
  if (dims.some((d) => typeof d === 'number' && d < 0))
    c.fail(`the shape [${dims.map(String).join(', ')}] has a negative extent`);
  return c.op('expand', [value], { dims });
}

function constantOfShape(c: ImportContext): Value {
  const given = c.tensor('value');
  if (given && elementCount(given.dims) !== 1) c.fail("attribute 'value' must have one element");
  const value = given
    ? c.constant(new ConstantData(given.dtype, [], () => given.tensor.reshape([])))
    : c.scalar(0, 'float32');
  return filled(c, value, c.input(0));
}

/** Row and column indices of a matrix, shaped to broadcast against each other. */
export function rowsAndColumns(c: ImportContext, rows: Value, columns: Value): [Value, Value] {
  const count = (n: Value): Value => c.op('range', [c.scalar(0, 'int64'), n, c.scalar(1, 'int64')]);
  const r = count(rows);
  return [c.op('reshape', [r], { dims: [c.dimsOf(r)[0]!, 1] }), count(columns)];
}

function eyeLike(c: ImportContext): Value {
  const x = c.input(0);
  const dims = c.dimsOf(x);
  if (dims.length !== 2) c.fail(`input 0 must be a matrix, has rank ${dims.length}`);
  const to: DType = c.dtype('dtype') ?? c.type(x).dtype;
  const [rows, columns] = rowsAndColumns(c, c.dims(dims[0]!), c.dims(dims[1]!));
  const shifted = c.op('add', [rows, c.scalar(c.int('k', 0), 'int64')]);
  return c.op('cast', [c.op('equal', [shifted, columns])], { to });
}

/** Keeps the lower or the upper triangle of matrices: element (i, j) by the sign of j - i - k. */
export function trilu(c: ImportContext): Value {
  const x = c.input(0);
  const dims = c.dimsOf(x);
  if (dims.length < 2) c.fail(`input 0 must have rank 2 or more, has ${dims.length}`);
  const [rows, columns] = rowsAndColumns(c, c.dims(dims.at(-2)!), c.dims(dims.at(-1)!));
  const given = c.optional(1);
  const k = given && (c.rank(given) === 0 ? given : c.op('reshape', [given], { dims: [] }));
  const diagonal = k ? c.op('add', [rows, k]) : rows;
  const kept = c.op(c.int('upper', 1) === 1 ? 'lessOrEqual' : 'greaterOrEqual', [diagonal, columns]);
  const { dtype } = c.type(x);
  return c.op('where', [
    kept,
    x,
    dtype === 'string' ? c.unsupported('string tensors have no zero') : c.scalar(0, dtype),
  ]);
}

export const constantImporters: ImporterTable = {
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Identity: (c) => c.input(0),
  EyeLike: eyeLike,
  Trilu: trilu,
  Range: (c) => {
    const scalars = c
      .inputs()
      .map((v) => ((c.type(v).dims?.length ?? 0) === 0 ? v : c.op('reshape', [v], { dims: [] })));
    return c.op('range', scalars);
  },
};
