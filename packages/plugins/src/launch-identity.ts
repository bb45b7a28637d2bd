/** What a variant launches for a problem, as a digest. */

import { type CudaKernels, DimExpression, formatDim, Tensor } from '@tensorwright/core';
import { createHash } from 'node:crypto';

/**
 * Functions with the same text may have other values around them. Times of what launched otherwise are not taken for its own.
 */
export function identityOf(describe: () => CudaKernels, aliases: readonly unknown[] = [], epilogue = false): string {
  let kernels: CudaKernels;
  try {
    kernels = describe();
  } catch {
    // Whoever compiles them says why.
    return 'invalid';
  }
  return digest(plainText([kernels, aliases, epilogue]));
}

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

function digest(content: string | NodeJS.ArrayBufferView): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}
