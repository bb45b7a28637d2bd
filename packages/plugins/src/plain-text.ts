/** Values of plugins as text, by which they are compared. */

import { DimExpression, formatDim, Tensor } from '@tensorwright/core';
import { digest } from './digest.js';

/** JSON in which all numbers differ that do: NaN and the infinities are no null, -0 is no 0. */
export function plainText(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === 'number') return isPlain(part) ? part : { number: Object.is(part, -0) ? '-0' : String(part) };
    if (typeof part === 'bigint') return { bigint: String(part) };
    if (part instanceof DimExpression) return { dim: formatDim(part) };
    return part instanceof Tensor ? tensorIdentity(part as Tensor) : part;
  });
}

function isPlain(n: number): boolean {
  return Number.isFinite(n) && !Object.is(n, -0);
}

function tensorIdentity({ dtype, dims, data }: Tensor): unknown {
  return [dtype, dims, ArrayBuffer.isView(data) ? digest(data) : data];
}
