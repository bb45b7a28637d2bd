/** NVIDIA devices: what is there, and the compiler. Libraries are opened at run time, on first use. */

import type { Binding } from './binding.js';

export interface CudaDevice {
  readonly ordinal: number;
  readonly name: string;
  /** What kernels are compiled for: 'sm_90a' … */
  readonly architecture: string;
  /** Compute capability, major × 10 + minor. */
  readonly capability: number;
  readonly multiprocessors: number;
  readonly memoryBytes: number;
  readonly l2Bytes: number;
  /** Most shared memory a block may have. */
  readonly sharedBytes: number;
}

export type CudaStatus =
  | {
      readonly available: true;
      /** The driver's version: '13.0'. */
      readonly driver: string;
      readonly devices: readonly CudaDevice[];
      /** NVRTC's version; undefined where it is missing, and then `compilerReason` says why. */
      readonly compiler?: string;
      readonly compilerReason?: string;
    }
  | { readonly available: false; readonly reason: string };

export class Cuda {
  readonly #binding: Binding;
  #status: CudaStatus | undefined;

  /** @internal */
  constructor(binding: Binding) {
    this.#binding = binding;
  }

  /** Asked once in a process. */
  status(): CudaStatus {
    this.#status ??= this.#binding.cudaStatus();
    return this.#status;
  }

  /**
   * Machine code of a text without includes, compiled by NVRTC off the JavaScript thread.
   * @throws ERR_COMPILATION with the compiler's log; ERR_BACKEND_UNAVAILABLE where there is no compiler
   */
  compile(text: string, options: readonly string[]): Promise<Uint8Array> {
    return this.#binding.cudaCompile(text, options);
  }
}
