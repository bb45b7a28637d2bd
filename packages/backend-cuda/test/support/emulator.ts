/**
 * What the tests run on: the libraries that the user's environment names (empty: the system's, on a machine with a GPU),
 * else the emulator, which the native tests build.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../../../', import.meta.url);
const libraries = {
  TENSORWRIGHT_CUDA_DRIVER: 'cuda',
  TENSORWRIGHT_NVRTC: 'nvrtc',
  TENSORWRIGHT_CUBLASLT: 'cublaslt',
  TENSORWRIGHT_CUDNN: 'cudnn',
};
const isChosen = 'TENSORWRIGHT_CUDA_DRIVER' in process.env;

function fileOf(library: string): string {
  return fileURLToPath(new URL(`native/build/emulator/libtensorwright_emulator_${library}.so`, root));
}

const isBuilt = Object.values(libraries).every((library) => existsSync(fileOf(library)));

/** The environment of the tests. */
export function emulated(): Record<string, string> {
  if (isChosen || !isBuilt) return {};
  return {
    ...Object.fromEntries(Object.entries(libraries).map(([variable, library]) => [variable, fileOf(library)])),
    // The emulator keeps what it compiled; the user's cache is for devices.
    TENSORWRIGHT_KERNEL_CACHE: '',
    TENSORWRIGHT_EMULATOR_CACHE:
      process.env['TENSORWRIGHT_EMULATOR_CACHE'] ?? fileURLToPath(new URL('.cache/emulator', root)),
  };
}

/** Vitest calls it before the tests. In CI, where nobody reads the message, tests that would be skipped are a failure. */
export default function setup(): void {
  if (isChosen || isBuilt) return;
  const message =
    'backend-cuda: no device, and the emulator is not built: tests of kernels are skipped. ' +
    'Build it with native/cuda/emulator/build.sh, or with the native tests.';
  if (process.env['CI']) throw new Error(message);
  process.stderr.write(`${message}\n`);
}
