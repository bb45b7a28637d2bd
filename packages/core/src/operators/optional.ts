/** Optionals: a value that may be absent at run time. */

import { type InferContext, type Operator, registerOperator } from '../operator.js';
import { Tensor } from '../tensor.js';
import { tensorType, type Type } from '../type.js';
import { elementType } from './region-types.js';

function contained(c: InferContext): Type {
  const type = c.inputs[0]?.type;
  if (type?.kind !== 'optional') return c.fail('input 0 must be an optional');
  return type.element;
}

export const optionalOperators: readonly Operator[] = [
  registerOperator({
    name: 'optional',
    kind: 'opaque',
    inputs: ['value?'],
    attributes: { element: undefined },
    infer: (c) => {
      const element = c.inputs[0]?.type ?? (c.attributes['element'] as Type | undefined);
      return [{ kind: 'optional', element: element ?? c.fail("an empty optional needs the attribute 'element'") }];
    },
    evaluate: (c) => [{ kind: 'optional', value: c.inputs[0] }],
  }),
  registerOperator({
    name: 'optionalHasElement',
    kind: 'opaque',
    inputs: ['optional'],
    infer: (c) => {
      contained(c);
      return [tensorType('bool', [])];
    },
    evaluate: (c) => {
      const value = c.inputs[0];
      const has =
        value !== undefined && !(value instanceof Tensor) && value.kind === 'optional' && value.value !== undefined;
      return [new Tensor('bool', [has ? 1 : 0], [])];
    },
  }),
  registerOperator({
    name: 'optionalGetElement',
    kind: 'opaque',
    inputs: ['optional'],
    infer: (c) => [elementType(contained(c), (axis) => c.fresh(`optional.${String(axis)}`))],
    evaluate: (c) => {
      const value = c.inputs[0];
      if (value === undefined || value instanceof Tensor || value.kind !== 'optional')
        return c.fail('input 0 must be an optional');
      return [value.value ?? c.fail('the optional is empty')];
    },
  }),
];
