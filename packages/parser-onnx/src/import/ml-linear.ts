/** ai.onnx.ml's linear models and support vector regression. */

import { Tensor, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { classLabels, postTransform } from './ml-scores.js';
import { reshaped } from './shape.js';

/** The features as float32 rows. */
function rowsOf(c: ImportContext): Value {
  const x = c.input(0);
  const floats = c.type(x).dtype === 'float32' ? x : c.op('cast', [x], { to: 'float32' });
  return c.rank(floats) === 1 ? reshaped(c, floats, [1, c.dimsOf(floats)[0]!]) : floats;
}

/** rows · matrixᵀ for a matrix given as a list of rows. */
function timesTransposed(c: ImportContext, rows: Value, list: readonly number[], count: number): Value {
  if (count < 1 || list.length % count !== 0) c.fail(`${list.length} coefficients do not divide into ${count} rows`);
  const matrix = c.constant(new Tensor('float32', list, [count, list.length / count]));
  return c.op('dot', [rows, matrix], { lhs: 'nk', rhs: 'mk', out: 'nm' });
}

function regressor(c: ImportContext): Value {
  const targets = c.int('targets', 1);
  const scores = timesTransposed(
    c,
    rowsOf(c),
    c.floats('coefficients') ?? c.fail("attribute 'coefficients' is missing"),
    targets,
  );
  return postTransform(c, plus(c, scores, c.floats('intercepts')), c.string('post_transform', 'NONE'));
}

function plus(c: ImportContext, scores: Value, list: readonly number[] | undefined): Value {
  return list?.length ? c.op('add', [scores, c.constant(new Tensor('float32', list))]) : scores;
}

function classifier(c: ImportContext): Value[] {
  const labels = classLabels(c);
  const coefficients = c.floats('coefficients') ?? c.fail("attribute 'coefficients' is missing");
  const intercepts = c.floats('intercepts');
  const rows = rowsOf(c);
  const width = c.dimsOf(rows)[1];
  const columns =
    intercepts !== undefined && intercepts.length > 0
      ? intercepts.length
      : typeof width === 'number'
        ? coefficients.length / width
        : labels.count;
  const scores = plus(c, timesTransposed(c, rows, coefficients, columns), intercepts);
  const transform = c.string('post_transform', 'NONE');
  if (columns === 1 && labels.count === 2) {
    const [label] = labels.binary(scores, false, 'NONE');
    // As ONNX Runtime has it: no other transform applies to one column.
    const positive = transform === 'LOGISTIC' ? c.op('sigmoid', [scores]) : scores;
    const negative = c.op('sub', [c.scalar(1, 'float32'), positive]);
    return [label!, c.op('concat', [negative, positive], { axis: 1 })];
  }
  return [
    labels.pick(c.op('argMax', [scores], { axis: 1, keepdims: false, selectLastIndex: false })),
    postTransform(c, scores, transform),
  ];
}

/** The kernel of every row with every support vector. */
function kernel(c: ImportContext, rows: Value, vectors: readonly number[], count: number): Value {
  const [gamma = 0, coef0 = 0, degree = 0] = c.floats('kernel_params') ?? [];
  const k = (value: number): Value => c.scalar(value, 'float32');
  const dot = timesTransposed(c, rows, vectors, count);
  const affine = (): Value => c.op('add', [c.op('mul', [dot, k(gamma)]), k(coef0)]);
  switch (c.string('kernel_type', 'LINEAR')) {
    case 'LINEAR':
      return dot;
    case 'POLY':
      return c.op('pow', [affine(), k(degree)]);
    case 'SIGMOID':
      return c.op('tanh', [affine()]);
    case 'RBF': {
      // |x - v|², row by row: the differences are exact where x is close to v.
      const width = vectors.length / count;
      const all = c.constant(new Tensor('float32', vectors, [1, count, width]));
      const apart = c.op('sub', [reshaped(c, rows, [c.dimsOf(rows)[0]!, 1, width]), all]);
      const distance = c.op('reduce', [c.op('mul', [apart, apart])], { monoid: 'sum', axes: [2], keepdims: false });
      return c.op('exp', [c.op('mul', [distance, k(-gamma)])]);
    }
    default:
      return c.fail(`unknown kernel_type '${c.string('kernel_type', '')}'`);
  }
}

function svmRegressor(c: ImportContext): Value {
  const rows = rowsOf(c);
  const coefficients = c.floats('coefficients') ?? c.fail("attribute 'coefficients' is missing");
  const supports = c.int('n_supports', 0);
  const rho = c.floats('rho')?.[0] ?? 0;
  const products =
    supports > 0
      ? kernel(c, rows, c.floats('support_vectors') ?? c.fail("attribute 'support_vectors' is missing"), supports)
      : rows;
  const sum = c.op('add', [timesTransposed(c, products, coefficients, 1), c.scalar(rho, 'float32')]);
  if (c.int('one_class', 0) === 0) return postTransform(c, sum, c.string('post_transform', 'NONE'));
  const one = (value: number): Value => c.scalar(value, 'float32');
  return c.op('where', [c.op('greater', [sum, one(0)]), one(1), one(-1)]);
}

export const linearImporters: ImporterTable = {
  LinearRegressor: regressor,
  LinearClassifier: classifier,
  SVMRegressor: svmRegressor,
};
