/** Softmax and its logarithm along one axis, with the maximum subtracted first. */

import { isFloat } from '../dtype.js';
import { readNumbers, tensorFromNumbers } from '../elements.js';
import { type Operator, registerOperator } from '../operator.js';
import { tensorType } from '../type.js';
import { forEachLane } from './lanes.js';

function softmaxOperator(name: string, logarithm: boolean): Operator {
  return registerOperator({
    name,
    kind: 'reduce',
    inputs: ['x'],
    attributes: { axis: -1 },
    infer: (c) => {
      const { dtype } = c.tensor(0);
      if (!isFloat(dtype)) c.fail(`x cannot be ${dtype}`);
      const dims = c.dims(0);
      const axis = c.attributes['axis'] as number;
      if (axis < -dims.length || axis >= dims.length) c.fail(`axis ${String(axis)} is out of range`);
      return [tensorType(dtype, dims)];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const axis = c.attributes['axis'] as number;
      const source = readNumbers(x);
      const out = new Float64Array(source.length);
      forEachLane(x.dims, axis < 0 ? axis + x.dims.length : axis, (start, step, length) => {
        const end = start + length * step;
        let max = -Infinity;
        for (let at = start; at < end; at += step) max = Math.max(max, source[at]!);
        let sum = 0;
        for (let at = start; at < end; at += step) sum += out[at] = Math.exp(source[at]! - max);
        if (logarithm) for (let at = start; at < end; at += step) out[at] = source[at]! - max - Math.log(sum);
        else for (let at = start; at < end; at += step) out[at] = out[at]! / sum;
      });
      return [tensorFromNumbers(x.dtype, out, x.dims)];
    },
    numerics: { safeIn16Bit: false },
  });
}

export const softmaxOperators: readonly Operator[] = [
  softmaxOperator('softmax', false),
  softmaxOperator('logSoftmax', true),
];
