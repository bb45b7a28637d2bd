/** Conversions between dtypes: by value and by bit pattern. */

import { type Dim, dimBounds } from '../dim.js';
import { type DType, dtypeInfo, isFloat, isInteger } from '../dtype.js';
import type { RoundMode } from '../float-formats.js';
import { type Operator, registerOperator } from '../operator.js';
import { scalar } from '../scalar.js';
import { Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { mapOperator } from './map.js';
import { integerRange } from './saturate.js';

/** The value after a conversion, where it is the same or decided. */
function castFact(d: Dim, to: DType): Dim | undefined {
  const { min, max } = dimBounds(d);
  if (to === 'bool') return min > 0 || max < 0 ? 1 : d === 0 ? 0 : undefined;
  if (isInteger(to)) {
    const range = integerRange(to);
    return min >= range.min && max <= range.max ? d : undefined;
  }
  // Floats hold integers exactly only up to their mantissa.
  const exact = to === 'float64' ? 2 ** 53 : to === 'float32' ? 2 ** 24 : 2 ** 8;
  return isFloat(to) && typeof d === 'number' && Math.abs(d) > exact ? undefined : d;
}

const convertible = (dtype: DType): boolean =>
  dtypeInfo(dtype).class !== 'string' && dtypeInfo(dtype).class !== 'complex';

export const castOperators: readonly Operator[] = [
  mapOperator({
    name: 'cast',
    inputs: ['x'],
    attributes: { to: undefined, saturate: true, roundMode: 'up' },
    accepts: convertible,
    result: (_, attributes) => attributes['to'] as DType,
    scalar: ([x], attributes, to) => {
      const saturate = attributes['saturate'] !== false;
      return to === 'float8e8m0'
        ? scalar.cast(x!, to, saturate, attributes['roundMode'] as RoundMode)
        : scalar.cast(x!, to, saturate);
    },
    fact: ([d], attributes) => castFact(d!, attributes['to'] as DType),
  }),
  registerOperator({
    name: 'bitCast',
    kind: 'opaque',
    inputs: ['x'],
    attributes: { to: undefined },
    infer: (c) => {
      const { dtype, dims } = c.tensor(0);
      const to = c.attributes['to'] as DType;
      if (dtypeInfo(to).bits === 0 || dtypeInfo(to).bits !== dtypeInfo(dtype).bits)
        c.fail(`${dtype} and ${to} differ in width`);
      return [tensorType(to, dims)];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      return [Tensor.fromBytes(c.attributes['to'] as DType, x.bytes, x.dims)];
    },
  }),
];
