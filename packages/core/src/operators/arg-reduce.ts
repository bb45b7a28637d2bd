/** Where along an axis the extreme element is. NaN counts as the extreme, as in numpy. */

import type { Dim } from '../dim.js';
import { dtypeInfo, isBig } from '../dtype.js';
import { readIntegers, readNumbers } from '../elements.js';
import { type Operator, registerOperator } from '../operator.js';
import { Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { forEachLane } from './lanes.js';
import { agreeOnSome } from './some-there.js';

function argExtreme(name: string, isBetter: (a: number | bigint, b: number | bigint) => boolean): Operator {
  return registerOperator({
    name,
    kind: 'reduce',
    inputs: ['x'],
    attributes: { axis: 0, keepdims: true, selectLastIndex: false },
    infer: (c) => {
      const { dtype } = c.tensor(0);
      const { class: kind } = dtypeInfo(dtype);
      if (kind === 'string' || kind === 'complex') c.fail(`${dtype} has no order`);
      const dims = c.dims(0);
      const axis = c.attributes['axis'] as number;
      if (axis < 0 || axis >= dims.length) c.fail(`axis ${String(axis)} is out of range`);
      const out: readonly Dim[] = c.attributes['keepdims'] === true ? dims.with(axis, 1) : dims.toSpliced(axis, 1);
      agreeOnSome(c, out, [dims[axis]!], `results and what there is along axis ${String(axis)}`);
      return [tensorType('int64', out)];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const axis = c.attributes['axis'] as number;
      const last = c.attributes['selectLastIndex'] === true;
      const dims = c.attributes['keepdims'] === true ? x.dims.with(axis, 1) : x.dims.toSpliced(axis, 1);
      const elements: ArrayLike<number | bigint> = isBig(x.dtype) ? readIntegers(x) : readNumbers(x);
      const out = Tensor.zeros('int64', dims);
      if (out.size > 0 && x.dims[axis] === 0) c.fail('an empty axis has no extreme element');
      forEachLane(x.dims, axis, (start, step, length, lane) => {
        let best = 0;
        for (let k = 1; k < length; k++) {
          const value = elements[start + k * step]!;
          const old = elements[start + best * step]!;
          const oldIsNaN = Number.isNaN(old);
          if (Number.isNaN(value) ? !oldIsNaN || last : !oldIsNaN && (isBetter(value, old) || (last && value === old)))
            best = k;
        }
        out.data[lane] = BigInt(best);
      });
      return [out];
    },
  });
}

export const argReduceOperators: readonly Operator[] = [
  argExtreme('argMax', (a, b) => a > b),
  argExtreme('argMin', (a, b) => a < b),
];
