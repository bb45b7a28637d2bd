/** Cast, CastLike and BitCast. */

import { type DType, dtypeInfo, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';

/** Names of the dtypes as Cast's `to` wrote them to opset 5. */
const dtypeNames: Readonly<Record<string, DType>> = {
  FLOAT: 'float32',
  DOUBLE: 'float64',
  FLOAT16: 'float16',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  BOOL: 'bool',
  STRING: 'string',
};

function targetOf(c: ImportContext): DType {
  if (c.opset >= 6) return c.dtype('to') ?? c.fail("attribute 'to' is missing");
  const name = c.string('to', '');
  return dtypeNames[name.toUpperCase()] ?? c.fail(`attribute 'to' names no dtype: '${name}'`);
}

function cast(c: ImportContext, to: DType): Value {
  const x = c.input(0);
  const from = c.type(x).dtype;
  if (from === to) return x;
  if (dtypeInfo(from).class === 'complex' || dtypeInfo(to).class === 'complex')
    return c.unsupported(`casting ${from} to ${to} is not supported`);
  if (to === 'string') return c.op('formatNumbers', [x]);
  if (from === 'string') return c.op('parseNumbers', [x], { to });
  const roundMode = c.string('round_mode', 'up');
  if (!['up', 'down', 'nearest'].includes(roundMode))
    c.fail(`attribute 'round_mode' must be up, down or nearest, is '${roundMode}'`);
  return c.op('cast', [x], { to, saturate: c.int('saturate', 1) !== 0, roundMode });
}

export const castImporters: ImporterTable = {
  Cast: (c) => cast(c, targetOf(c)),
  CastLike: (c) => cast(c, c.type(c.input(1)).dtype),
  BitCast: (c) => c.op('bitCast', [c.input(0)], { to: targetOf(c) }),
};
