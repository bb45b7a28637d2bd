/**
 * Linear quantization as map operators: scale and zero point broadcast against x. Importers give per-axis
 * parameters the shape that does so, and turn blocks into an axis of their own.
 */

import { type DType, dtypeInfo, isFloat, isInteger } from '../dtype.js';
import type { Operator } from '../operator.js';
import { type Scalar, scalar } from '../scalar.js';
import { mapOperator } from './map.js';
import { integerRange } from './saturate.js';

/** Rounds a computed value to its own dtype, where an expression would otherwise keep excess precision. */
function rounded(x: Scalar): Scalar {
  return { op: 'cast', args: [x], dtype: 'float32', saturate: true };
}

export const quantizeOperators: readonly Operator[] = [
  /** to = saturate(round(x / scale) + zeroPoint), the division in `precision`. */
  mapOperator({
    name: 'quantizeLinear',
    inputs: ['x', 'scale', 'zeroPoint?'],
    attributes: { to: undefined, saturate: true, precision: 'float32' },
    accepts: (dtype) => isFloat(dtype) || isInteger(dtype),
    free: [0, 1, 2],
    result: (_, attributes) => attributes['to'] as DType,
    scalar: ([x, scale, zeroPoint], attributes, to) => {
      const precision = attributes['precision'] as DType;
      const quotient = rounded(scalar.binary('div', scalar.cast(x!, precision), scalar.cast(scale!, precision)));
      const shift = (y: Scalar): Scalar => (zeroPoint ? scalar.binary('add', y, scalar.cast(zeroPoint, 'float32')) : y);
      if (isFloat(to)) return scalar.cast(shift(quotient), to, attributes['saturate'] !== false);
      const { min, max } = integerRange(to);
      const level = shift(scalar.unary('round', quotient));
      const clamped = scalar.binary(
        'min',
        scalar.binary('max', level, scalar.constant(min, 'float32')),
        scalar.constant(max, 'float32'),
      );
      return scalar.cast(clamped, to);
    },
  }),
  /** to = (x - zeroPoint) · scale */
  mapOperator({
    name: 'dequantizeLinear',
    inputs: ['x', 'scale', 'zeroPoint?'],
    attributes: { to: 'float32' },
    accepts: (dtype) => isFloat(dtype) || isInteger(dtype),
    free: [0, 1, 2],
    result: (_, attributes) => attributes['to'] as DType,
    scalar: ([x, scale, zeroPoint], _, to) => {
      const domain: DType = to === 'float64' ? 'float64' : 'float32';
      const wide =
        dtypeInfo(x!.dtype).bits >= 32 && zeroPoint
          ? scalar.cast(scalar.binary('sub', x!, zeroPoint), domain)
          : undefined;
      const level = scalar.cast(x!, domain);
      const centred = wide ?? (zeroPoint ? scalar.binary('sub', level, scalar.cast(zeroPoint, domain)) : level);
      return scalar.cast(scalar.binary('mul', centred, scalar.cast(scale!, domain)), to);
    },
  }),
];
