/** LabelEncoder: a lookup table from keys to values, of numbers or strings. */

import { type Operator, registerOperator } from '../operator.js';
import { elementsOf, tensorOf } from '../elements.js';
import { tensorType } from '../type.js';

/** A key under which equal elements meet: NaN equals NaN, and 0 equals -0. */
function keyOf(element: unknown): unknown {
  return typeof element === 'number' && element === 0 ? 0 : element;
}

export const labelEncoder: Operator = registerOperator({
  name: 'labelEncoder',
  kind: 'opaque',
  inputs: ['x', 'keys', 'values', 'default'],
  infer: (c) => {
    const x = c.tensor(0);
    if (c.tensor(1).dtype !== x.dtype) c.fail('the keys must have the dtype of the input');
    if (c.tensor(3).dtype !== c.tensor(2).dtype) c.fail('the default must have the dtype of the values');
    const [keys, values] = [c.dims(1), c.dims(2)];
    if (typeof keys[0] === 'number' && typeof values[0] === 'number' && keys[0] !== values[0])
      c.fail(`${String(keys[0])} keys have ${String(values[0])} values`);
    return [tensorType(c.tensor(2).dtype, x.dims)];
  },
  evaluate: (c) => {
    const [x, keys, values, other] = [c.tensor(0), c.tensor(1), c.tensor(2), c.tensor(3)];
    const table = new Map<unknown, unknown>();
    const found = elementsOf(values) as ArrayLike<unknown>;
    Array.from(elementsOf(keys) as ArrayLike<unknown>).forEach((k, i) => {
      if (!table.has(keyOf(k))) table.set(keyOf(k), found[i]);
    });
    const fallback = (elementsOf(other) as ArrayLike<unknown>)[0];
    const out = Array.from(elementsOf(x) as ArrayLike<unknown>, (e) =>
      table.has(keyOf(e)) ? table.get(keyOf(e)) : fallback,
    );
    return [tensorOf(values.dtype, out as number[], x.dims)];
  },
});
