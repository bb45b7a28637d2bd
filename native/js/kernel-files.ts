/** The CUDA kernel library's files. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The text of a file of the kernel library, by its path in it: 'gemm.cuh', 'prelude/types.cuh'.
 * TENSORWRIGHT_KERNELS names another folder to read from: programs that bundle this package need it.
 */
export function cudaKernelFile(path: string): string {
  const folder = process.env['TENSORWRIGHT_KERNELS'] ?? fileURLToPath(new URL('../cuda/kernels', import.meta.url));
  return readFileSync(join(folder, path), 'utf8');
}
