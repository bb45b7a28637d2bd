/** Extents of a plugin's inputs against each other. */

import { type Dim, formatDims } from '@tensorwright/core';
import type { FieldSchema } from '../fields.js';
import type { InferenceContext, Names } from '../plugin.js';

/** Refuses a call whose operand has another shape; what only the run knows, it checks. */
export function checkExtents(
  operand: string,
  given: readonly Dim[],
  expected: readonly Dim[],
  { agree, fail }: Pick<InferenceContext<Names, FieldSchema>, 'agree' | 'fail'>,
): void {
  const differs = (d: Dim, e: Dim): boolean => typeof d === 'number' && typeof e === 'number' && d !== e;
  if (given.length !== expected.length || given.some((d, i) => differs(d, expected[i]!)))
    fail(`${operand} has shape ${formatDims(given)}, expected ${formatDims(expected)}`);
  given.forEach((d, axis) =>
    agree(d, expected[axis]!, `extents of axis ${String(axis)} of ${operand} and what it belongs to`),
  );
}
