/** Whether one value may take another's place, as far as types tell. */

import type { Dim, Type } from '@tensorwright/core';

export function mayStandFor(a: Type, b: Type): boolean {
  if (a.kind !== 'tensor' || b.kind !== 'tensor' || a.dtype !== b.dtype) return false;
  if (!a.dims || !b.dims) return true;
  const differ = (x: Dim, y: Dim): boolean => typeof x === 'number' && typeof y === 'number' && x !== y;
  return a.dims.length === b.dims.length && !a.dims.some((d, i) => differ(d, b.dims![i]!));
}
