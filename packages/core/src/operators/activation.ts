/** Activations: each is one scalar expression. */

import { type DType, isFloat, isInteger } from '../dtype.js';
import type { Attributes } from '../graph.js';
import type { Operator } from '../operator.js';
import { type Scalar, scalar } from '../scalar.js';
import { mapOperator } from './map.js';

/** An activation of one input; `c` makes constants of its dtype, `a` reads numeric attributes as such. */
interface Kit {
  readonly c: (value: number) => Scalar;
  readonly a: (name: string) => Scalar;
  readonly attributes: Attributes;
}

function activation(
  name: string,
  attributes: Readonly<Record<string, unknown>>,
  expression: (x: Scalar, kit: Kit) => Scalar,
  accepts: (dtype: DType) => boolean = isFloat,
): Operator {
  return mapOperator({
    name,
    inputs: ['x'],
    attributes,
    accepts,
    scalar: ([x], values) => {
      const c = (value: number): Scalar => scalar.constant(value, x!.dtype);
      return expression(x!, { c, a: (key) => c(values[key] as number), attributes: values });
    },
  });
}

const add = (a: Scalar, b: Scalar): Scalar => scalar.binary('add', a, b);
const sub = (a: Scalar, b: Scalar): Scalar => scalar.binary('sub', a, b);
const mul = (a: Scalar, b: Scalar): Scalar => scalar.binary('mul', a, b);
const div = (a: Scalar, b: Scalar): Scalar => scalar.binary('div', a, b);
const max = (a: Scalar, b: Scalar): Scalar => scalar.binary('max', a, b);
const min = (a: Scalar, b: Scalar): Scalar => scalar.binary('min', a, b);
const exp = (x: Scalar): Scalar => scalar.unary('exp', x);
const abs = (x: Scalar): Scalar => scalar.unary('abs', x);
const whenLess = (a: Scalar, b: Scalar, then: Scalar, otherwise: Scalar): Scalar =>
  scalar.select(scalar.binary('lt', a, b), then, otherwise);

/** log(1 + e^x) without overflow. */
function softplus(x: Scalar, { c }: Kit): Scalar {
  return add(max(x, c(0)), scalar.unary('log', add(c(1), exp(scalar.unary('neg', abs(x))))));
}

function gelu(x: Scalar, { c, attributes }: Kit): Scalar {
  const half = mul(c(0.5), x);
  if (attributes['approximate'] === 'tanh') {
    const inner = mul(c(Math.sqrt(2 / Math.PI)), add(x, mul(c(0.044715), mul(x, mul(x, x)))));
    return mul(half, add(c(1), scalar.unary('tanh', inner)));
  }
  return mul(half, add(c(1), scalar.unary('erf', mul(x, c(Math.SQRT1_2)))));
}

export const activationOperators: readonly Operator[] = [
  activation(
    'relu',
    {},
    (x, { c }) => max(x, c(0)),
    (dtype) => isFloat(dtype) || isInteger(dtype),
  ),
  activation('leakyRelu', { alpha: 0.01 }, (x, { c, a }) => whenLess(x, c(0), mul(a('alpha'), x), x)),
  activation('elu', { alpha: 1 }, (x, { c, a }) => whenLess(x, c(0), mul(a('alpha'), sub(exp(x), c(1))), x)),
  activation('selu', { alpha: 1.6732631921768188, gamma: 1.0507010221481323 }, (x, { c, a }) =>
    mul(a('gamma'), whenLess(c(0), x, x, mul(a('alpha'), sub(exp(x), c(1))))),
  ),
  activation('celu', { alpha: 1 }, (x, { c, a }) =>
    add(max(x, c(0)), min(c(0), mul(a('alpha'), sub(exp(div(x, a('alpha'))), c(1))))),
  ),
  activation('sigmoid', {}, (x) => scalar.unary('sigmoid', x)),
  activation('hardSigmoid', { alpha: 0.2, beta: 0.5 }, (x, { c, a }) =>
    max(c(0), min(c(1), add(mul(a('alpha'), x), a('beta')))),
  ),
  activation('hardSwish', {}, (x, { c }) => mul(x, max(c(0), min(c(1), add(mul(c(1 / 6), x), c(0.5)))))),
  activation('softplus', {}, softplus),
  activation('softsign', {}, (x, { c }) => div(x, add(c(1), abs(x)))),
  activation('mish', {}, (x, kit) => mul(x, scalar.unary('tanh', softplus(x, kit)))),
  activation('gelu', { approximate: 'none' }, gelu),
  activation('swish', { alpha: 1 }, (x, { a }) => mul(x, scalar.unary('sigmoid', mul(a('alpha'), x)))),
  activation('thresholdedRelu', { alpha: 1 }, (x, { c, a }) => whenLess(a('alpha'), x, x, c(0))),
  activation(
    'shrink',
    { lambd: 0.5, bias: 0 },
    (x, { c, attributes }) => {
      const lambd = attributes['lambd'] as number;
      const bias = c(attributes['bias'] as number);
      return whenLess(x, c(-lambd), add(x, bias), whenLess(c(lambd), x, sub(x, bias), c(0)));
    },
    (dtype) => isFloat(dtype) || isInteger(dtype),
  ),
  mapOperator({
    name: 'prelu',
    inputs: ['x', 'slope'],
    accepts: (dtype) => isFloat(dtype) || isInteger(dtype),
    scalar: ([x, slope]) => whenLess(x!, scalar.constant(0, x!.dtype), mul(slope!, x!), x!),
  }),
];
