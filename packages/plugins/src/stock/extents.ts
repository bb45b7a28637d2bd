/** Extents of a plugin's inputs against each other. */

import { type Dim, formatDims } from '@tensorwright/core';

/**
 * Those that only the run knows are taken on trust, as by TensorRT.
 * @param fail refuses the call, naming the operand
 */
export function checkExtents(
  operand: string,
  given: readonly Dim[],
  expected: readonly Dim[],
  fail: (message: string) => never,
): void {
  const differs = (d: Dim, e: Dim): boolean => typeof d === 'number' && typeof e === 'number' && d !== e;
  if (given.length !== expected.length || given.some((d, i) => differs(d, expected[i]!)))
    fail(`${operand} has shape ${formatDims(given)}, expected ${formatDims(expected)}`);
}
