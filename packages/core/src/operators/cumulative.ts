/** Running sums and products along one axis. The axis is an attribute, or an input where only the run knows it. */

import { dtypeInfo, isBig, isFloat } from '../dtype.js';
import { allocateElements, readIntegers, readNumbers, tensorFromNumbers, tensorOf } from '../elements.js';
import { type Operator, registerOperator } from '../operator.js';
import { tensorType } from '../type.js';
import { forEachLane } from './lanes.js';

function cumulative(name: string, monoid: 'sum' | 'prod'): Operator {
  return registerOperator({
    name,
    kind: 'opaque',
    inputs: ['x', 'axis?'],
    attributes: { axis: undefined, exclusive: false, reverse: false },
    infer: (c) => {
      const { dtype, dims } = c.tensor(0);
      const { class: kind } = dtypeInfo(dtype);
      if (kind !== 'float' && kind !== 'int' && kind !== 'uint') c.fail(`${dtype} has no running ${monoid}`);
      if (!c.has(1) && c.attributes['axis'] === undefined) c.fail('an axis is needed');
      return [tensorType(dtype, dims)];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const rank = x.dims.length;
      const given = c.has(1) ? c.integers(1)[0]! : (c.attributes['axis'] as number);
      const axis = given < 0 ? given + rank : given;
      if (!Number.isInteger(axis) || axis < 0 || axis >= rank)
        c.fail(`axis ${String(given)} is out of range for rank ${String(rank)}`);
      const exclusive = c.attributes['exclusive'] === true;
      const reverse = c.attributes['reverse'] === true;

      const walk = <T extends number | bigint>(
        source: ArrayLike<T>,
        out: { [index: number]: T },
        neutral: T,
        combine: (a: T, b: T) => T,
      ): void => {
        forEachLane(x.dims, axis, (start, step, length) => {
          let total = neutral;
          for (let k = 0; k < length; k++) {
            const at = start + (reverse ? length - 1 - k : k) * step;
            if (exclusive) out[at] = total;
            total = combine(total, source[at]!);
            if (!exclusive) out[at] = total;
          }
        });
      };
      if (isBig(x.dtype)) {
        const out = allocateElements(x.dtype, x.size) as BigInt64Array;
        if (monoid === 'sum') walk<bigint>(readIntegers(x), out, 0n, (a, b) => BigInt.asUintN(64, a + b));
        else walk<bigint>(readIntegers(x), out, 1n, (a, b) => BigInt.asUintN(64, a * b));
        return [tensorOf(x.dtype, out, x.dims)];
      }
      const out = new Float64Array(x.size);
      const whole = !isFloat(x.dtype);
      if (monoid === 'sum') walk<number>(readNumbers(x), out, 0, whole ? (a, b) => (a + b) | 0 : (a, b) => a + b);
      else walk<number>(readNumbers(x), out, 1, whole ? Math.imul : (a, b) => a * b);
      return [tensorFromNumbers(x.dtype, out, x.dims)];
    },
  });
}

export const cumulativeOperators: readonly Operator[] = [cumulative('cumSum', 'sum'), cumulative('cumProd', 'prod')];
