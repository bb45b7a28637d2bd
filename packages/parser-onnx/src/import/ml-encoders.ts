/** ai.onnx.ml's preparation of features: encoders, scalers, imputers and the like. */

import { type DType, Tensor, tensorFromNumbers, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { reshaped } from './shape.js';

function floatInput(c: ImportContext, v: Value): Value {
  return c.type(v).dtype === 'float32' ? v : c.op('cast', [v], { to: 'float32' });
}

/** The first of these attributes that is there, as a tensor. */
function listAttribute(c: ImportContext, prefix: string): Tensor | undefined {
  const strings = c.strings(`${prefix}_strings`);
  if (strings) return new Tensor('string', strings);
  const ints = c.ints(`${prefix}_int64s`);
  if (ints) return new Tensor('int64', ints);
  const floats = c.floats(`${prefix}_floats`);
  if (floats) return new Tensor('float32', floats);
  const tensor = c.tensor(`${prefix}_tensor`);
  return tensor?.tensor.reshape([tensor.tensor.size]);
}

function labelEncoder(c: ImportContext): Value {
  const keys = listAttribute(c, 'keys') ?? c.fail('keys are missing');
  const values = listAttribute(c, 'values') ?? c.fail('values are missing');
  return c.op('labelEncoder', [
    c.input(0),
    c.constant(keys),
    c.constant(values),
    c.constant(defaultLabel(c, values.dtype)),
  ]);
}

function defaultLabel(c: ImportContext, dtype: DType): Tensor {
  const given = c.tensor('default_tensor');
  if (given) return given.tensor.reshape([]);
  if (dtype === 'string') return new Tensor('string', [c.string('default_string', '_Unused')], []);
  if (dtype === 'int64') return new Tensor('int64', [c.int('default_int64', -1)], []);
  return tensorFromNumbers(dtype, [c.float('default_float', -0)], []);
}

/** Opset 1: class strings and their positions, whichever way the input asks. */
function olderLabelEncoder(c: ImportContext): Value {
  const strings = new Tensor(
    'string',
    c.strings('classes_strings') ?? c.fail("attribute 'classes_strings' is missing"),
  );
  const numbers = new Tensor(
    'int64',
    Array.from({ length: strings.size }, (_, i) => i),
  );
  return twoWay(c, strings, numbers);
}

function twoWay(c: ImportContext, strings: Tensor, numbers: Tensor): Value {
  const x = c.input(0);
  const toNumbers = c.type(x).dtype === 'string';
  const [keys, values] = toNumbers ? [strings, numbers] : [numbers, strings];
  return c.op('labelEncoder', [x, c.constant(keys), c.constant(values), c.constant(defaultLabel(c, values.dtype))]);
}

function categoryMapper(c: ImportContext): Value {
  const strings = new Tensor('string', c.strings('cats_strings') ?? c.fail("attribute 'cats_strings' is missing"));
  return twoWay(c, strings, new Tensor('int64', c.ints('cats_int64s') ?? c.fail("attribute 'cats_int64s' is missing")));
}

function oneHotEncoder(c: ImportContext): Value {
  const x = c.input(0);
  const strings = c.strings('cats_strings');
  const cats = strings?.length
    ? new Tensor('string', strings)
    : new Tensor('int64', c.ints('cats_int64s') ?? c.fail('categories are missing'));
  const wanted = cats.dtype === 'string' || c.type(x).dtype === 'int64' ? x : c.op('cast', [x], { to: 'int64' });
  const column = reshaped(c, wanted, [...c.dimsOf(x), 1]);
  const equal = cats.dtype === 'string' ? 'equalStrings' : 'equal';
  return c.op('cast', [c.op(equal, [column, c.constant(cats)])], { to: 'float32' });
}

function scaler(c: ImportContext): Value {
  const x = floatInput(c, c.input(0));
  const offset = c.op('sub', [x, c.constant(new Tensor('float32', c.floats('offset') ?? [0]))]);
  return c.op('mul', [offset, c.constant(new Tensor('float32', c.floats('scale') ?? [1]))]);
}

function normalizer(c: ImportContext): Value {
  const x = floatInput(c, c.input(0));
  const over = (monoid: string, v: Value): Value =>
    c.op('reduce', [v], { monoid, axes: [c.rank(x) - 1], keepdims: true });
  const norm = c.string('norm', 'MAX');
  let size: Value;
  if (norm === 'MAX') size = over('max', x);
  else if (norm === 'L1') size = over('sum', c.op('abs', [x]));
  else if (norm === 'L2') size = c.op('sqrt', [over('sum', c.op('mul', [x, x]))]);
  else return c.fail(`unknown norm '${norm}'`);
  // Rows of zeros stay as they are.
  const zero = c.op('equal', [size, c.scalar(0, 'float32')]);
  return c.op('div', [x, c.op('where', [zero, c.scalar(1, 'float32'), size])]);
}

function imputer(c: ImportContext): Value {
  const x = c.input(0);
  const { dtype } = c.type(x);
  const integer = dtype === 'int64' || dtype === 'int32';
  const given = integer ? c.ints('imputed_value_int64s') : c.floats('imputed_value_floats');
  const values = c.constant(tensorOfList(dtype, given ?? c.fail('imputed values are missing')));
  const replaced = integer ? c.int('replaced_value_int64', 0) : c.float('replaced_value_float', 0);
  const missing = Number.isNaN(replaced) ? c.op('isNaN', [x]) : c.op('equal', [x, c.scalar(replaced, dtype)]);
  return c.op('where', [missing, values, x]);
}

function tensorOfList(dtype: DType, list: readonly number[]): Tensor {
  return dtype === 'int64' ? new Tensor('int64', list) : tensorFromNumbers(dtype, list, [list.length]);
}

function featureVectorizer(c: ImportContext): Value {
  const parts = c
    .inputs()
    .map((v) => (c.rank(v) === 1 ? reshaped(c, v, [1, c.dimsOf(v)[0]!]) : v))
    .map((v) => floatInput(c, v));
  return parts.length === 1 ? parts[0]! : c.op('concat', parts, { axis: 1 });
}

function arrayFeatureExtractor(c: ImportContext): Value {
  const x = c.input(0);
  const rank = c.rank(x);
  const index = c.input(1);
  const flat = c.rank(index) === 1 ? index : reshaped(c, index, [c.dimsOf(index).at(-1) ?? 1]);
  const taken = c.op('gather', [x, flat], { axis: rank - 1 });
  return rank === 1 ? reshaped(c, taken, [1, c.dimsOf(taken)[0]!]) : taken;
}

export const encoderImporters: ImporterTable = {
  LabelEncoder: { 1: olderLabelEncoder, 2: labelEncoder },
  CategoryMapper: categoryMapper,
  OneHotEncoder: oneHotEncoder,
  Scaler: scaler,
  Normalizer: normalizer,
  Imputer: imputer,
  FeatureVectorizer: featureVectorizer,
  ArrayFeatureExtractor: arrayFeatureExtractor,
  Binarizer: (c) => {
    const { dtype } = c.type(c.input(0));
    return c.op('cast', [c.op('greater', [c.input(0), c.scalar(c.float('threshold', 0), dtype)])], { to: dtype });
  },
};
