/** Optional operators. What is known to be there, or known to be absent, needs none of them. */

import type { Value } from '@tensorwright/core';
import { Tensor } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';

function has(c: ImportContext, value: boolean): Value {
  return c.constant(new Tensor('bool', [value ? 1 : 0], []));
}

function hasElement(c: ImportContext): Value {
  const v = c.optional(0);
  if (!v) return has(c, false);
  if (v.type.kind !== 'optional') return has(c, true);
  if (v.node.op === 'optional') return has(c, v.node.inputs[0] !== undefined);
  return c.op('optionalHasElement', [v]);
}

function getElement(c: ImportContext): Value {
  const v = c.input(0);
  if (v.type.kind !== 'optional') return v;
  return v.node.op === 'optional' && v.node.inputs[0] ? v.node.inputs[0] : c.op('optionalGetElement', [v]);
}

export const optionalImporters: ImporterTable = {
  Optional: (c) =>
    c.op(
      'optional',
      [c.optional(0)],
      c.has(0) ? {} : { element: c.typeAttribute('type') ?? c.fail("an empty optional needs the attribute 'type'") },
    ),
  OptionalHasElement: hasElement,
  OptionalGetElement: getElement,
};
