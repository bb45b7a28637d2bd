/** NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss. */

import type { Value } from '@tensorwright/core';
import { castTo } from './elementwise.js';
import type { ImportContext, ImporterTable } from './importer.js';
import { reshaped } from './shape.js';

/** The loss of log-probabilities [N, C, …] against classes [N, …], each class weighted. */
function likelihoodLoss(c: ImportContext, logProbabilities: Value, target: Value, weight: Value | undefined): Value {
  const reduction = c.string('reduction', 'mean');
  if (!['none', 'sum', 'mean'].includes(reduction))
    c.fail(`attribute 'reduction' must be none, sum or mean, is '${reduction}'`);
  const { dtype } = c.type(logProbabilities);
  const classes = castTo(c, target, 'int64');
  const targetDims = c.dimsOf(classes);

  // Ignored targets may be no class at all: they read class 0 with weight 0.
  const ignored = c.hasAttribute('ignore_index')
    ? c.op('equal', [classes, c.scalar(c.int('ignore_index', 0), 'int64')])
    : undefined;
  const safe = ignored ? c.op('where', [ignored, c.scalar(0, 'int64'), classes]) : classes;
  const column = reshaped(c, safe, [targetDims[0]!, 1, ...targetDims.slice(1)]);
  const picked = reshaped(c, c.op('gatherElements', [logProbabilities, column], { axis: 1 }), targetDims);

  const own = weight && c.op('gather', [weight, safe], { axis: 0 });
  const weights = ignored ? c.op('where', [ignored, c.scalar(0, dtype), own ?? c.scalar(1, dtype)]) : own;
  const negative = c.op('neg', [picked]);
  const loss = weights ? c.op('mul', [negative, weights]) : negative;
  if (reduction === 'none') return loss;

  const axes = targetDims.map((_, axis) => axis);
  const total = (v: Value): Value => c.op('reduce', [v], { monoid: 'sum', axes, keepdims: false });
  if (reduction === 'sum') return total(loss);
  const weightOf = weights ?? c.scalar(1, dtype);
  return c.op('div', [total(loss), total(c.op('expand', [weightOf], { dims: targetDims }))]);
}

function softmaxCrossEntropy(c: ImportContext): readonly Value[] {
  const logProbabilities = c.op('logSoftmax', [c.input(0)], { axis: 1 });
  return [likelihoodLoss(c, logProbabilities, c.input(1), c.optional(2)), logProbabilities];
}

export const lossImporters: ImporterTable = {
  NegativeLogLikelihoodLoss: (c) => likelihoodLoss(c, c.input(0), c.input(1), c.optional(2)),
  SoftmaxCrossEntropyLoss: softmaxCrossEntropy,
};
