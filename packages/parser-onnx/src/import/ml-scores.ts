/** What ai.onnx.ml's classifiers and regressors do with their scores: transforms, and labels of the classes. */

import { Tensor, type Value } from '@tensorwright/core';
import type { ImportContext } from './importer.js';

export const postTransforms = ['NONE', 'SOFTMAX', 'LOGISTIC', 'SOFTMAX_ZERO', 'PROBIT'] as const;

export function postTransform(c: ImportContext, scores: Value, name: string): Value {
  const { dtype } = c.type(scores);
  switch (name) {
    case 'NONE':
      return scores;
    case 'SOFTMAX':
      return c.op('softmax', [scores], { axis: -1 });
    case 'LOGISTIC':
      return c.op('sigmoid', [scores]);
    case 'SOFTMAX_ZERO': {
      // Scores that are zero keep a weight of zero.
      const top = c.op('reduce', [scores], { monoid: 'max', axes: [c.rank(scores) - 1], keepdims: true });
      const some = c.op('greater', [c.op('abs', [scores]), c.scalar(1e-7, dtype)]);
      const weights = c.op('where', [
        some,
        c.op('exp', [c.op('sub', [scores, top])]),
        c.op('mul', [scores, c.op('exp', [c.op('neg', [top])])]),
      ]);
      return c.op('div', [
        weights,
        c.op('reduce', [weights], { monoid: 'sum', axes: [c.rank(scores) - 1], keepdims: true }),
      ]);
    }
    case 'PROBIT':
      return probit(c, scores);
    default:
      return c.fail(`unknown post_transform '${name}'`);
  }
}

/** √2·erf⁻¹(2p - 1), by Winitzki's approximation as other runtimes have it. */
function probit(c: ImportContext, p: Value): Value {
  const { dtype } = c.type(p);
  const k = (value: number): Value => c.scalar(value, dtype);
  const x = c.op('sub', [c.op('mul', [p, k(2)]), k(1)]);
  const log = c.op('log', [c.op('mul', [c.op('sub', [k(1), x]), c.op('add', [k(1), x])])]);
  const v = c.op('add', [k(2 / (Math.PI * 0.147)), c.op('mul', [log, k(0.5)])]);
  const root = c.op('sqrt', [c.op('sub', [c.op('mul', [v, v]), c.op('mul', [log, k(1 / 0.147)])])]);
  const size = c.op('sqrt', [c.op('sub', [root, v])]);
  return c.op('mul', [c.op('mul', [c.op('sign', [x]), size]), k(Math.SQRT2)]);
}

export interface ClassLabels {
  readonly count: number;
  /** Labels by class index. */
  pick(index: Value): Value;
  /** Labels and two-column scores from the score of the second class. */
  binary(positive: Value, areProbabilities: boolean, transform: string): Value[];
}

/** The classifier's labels, integers or strings. */
export function classLabels(c: ImportContext): ClassLabels {
  const ints = c.ints('classlabels_int64s') ?? c.ints('classlabels_ints');
  const strings = c.strings('classlabels_strings');
  const labels = strings?.length
    ? new Tensor('string', strings)
    : new Tensor('int64', ints ?? c.fail('class labels are missing'));
  const pick = (index: Value): Value => c.op('gather', [c.constant(labels), index], { axis: 0 });
  return {
    count: labels.size,
    pick,
    binary(positive, areProbabilities, transform) {
      const { dtype } = c.type(positive);
      const threshold = c.scalar(areProbabilities ? 0.5 : 0, dtype);
      const column = c.op('reshape', [positive], { dims: [c.dimsOf(positive)[0]!] });
      const label = pick(c.op('cast', [c.op('greater', [column, threshold])], { to: 'int64' }));
      const negative = areProbabilities ? c.op('sub', [c.scalar(1, dtype), positive]) : c.op('neg', [positive]);
      const [low, high] =
        !areProbabilities && transform === 'LOGISTIC'
          ? [c.op('sigmoid', [negative]), c.op('sigmoid', [positive])]
          : [negative, positive];
      return [label, c.op('concat', [low, high], { axis: 1 })];
    },
  };
}
