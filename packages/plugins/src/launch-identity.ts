/** What a variant launches for a problem, as a digest. */

import type { CudaKernels } from '@tensorwright/core';
import { digest } from './digest.js';
import { plainText } from './plain-text.js';

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
