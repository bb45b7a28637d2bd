/** NVIDIA devices: what is there, and the compiler. Libraries are opened at run time, on first use. */

import type { Binding } from './binding.js';
import type { CudnnConfiguration, CudnnConvolution } from './cudnn.js';
import { DeviceMemory } from './device-memory.js';

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

/** Bytes of a device's memory. */
export interface DeviceMemoryState {
  /** Left for everybody. */
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Allocated by this process: constants, contexts and buffers. Code and streams, which the driver keeps, are not in it. */
  readonly ownBytes: number;
}

/** A library that tactics may use: its version ('13.0.2'), or why it cannot be used. */
export type CudaLibraryStatus =
  { readonly version: string; readonly reason?: undefined } | { readonly version?: undefined; readonly reason: string };

export type CudaStatus =
  | {
      readonly available: true;
      /** The driver's version: '13.0'. */
      readonly driver: string;
      readonly devices: readonly CudaDevice[];
      /** NVRTC's version; undefined where it is missing, and then `compilerReason` says why. */
      readonly compiler?: string;
      readonly compilerReason?: string;
      /** Opened when this is first read. */
      readonly cublasLt: CudaLibraryStatus;
      /** Likewise. */
      readonly cudnn: CudaLibraryStatus;
    }
  | { readonly available: false; readonly reason: string };

export class Cuda {
  readonly #binding: Binding;
  #status: CudaStatus | undefined;

  /** @throws ERR_OUT_OF_MEMORY naming the device; ERR_BACKEND_UNAVAILABLE where there is none */
  allocate(bytes: number, device = 0): DeviceMemory {
    return new DeviceMemory(this.#binding, bytes, device);
  }

  /** @throws ERR_BACKEND_UNAVAILABLE where there is no such device, ERR_DEVICE once it is lost */
  memory(device = 0): DeviceMemoryState {
    return this.#binding.deviceMemory(device);
  }

  /** @internal */
  constructor(binding: Binding) {
    this.#binding = binding;
  }

  /**
   * Opens the driver, the first device, the compiler and the libraries off the JavaScript thread, which can take a second
   * the first time. `status` then has nothing left to wait for, and says what is missing.
   */
  async open(libraries: readonly ('cublasLt' | 'cudnn')[]): Promise<void> {
    await this.#binding.cudaOpen(libraries.includes('cublasLt'), libraries.includes('cudnn'));
  }

  /** Asked once in a process. */
  status(): CudaStatus {
    this.#status ??= this.#describe();
    return this.#status;
  }

  /** Libraries are large: a plan that uses none does without opening them. */
  #describe(): CudaStatus {
    const status = this.#binding.cudaStatus() as CudaStatus;
    if (!status.available) return status;
    const opened = (open: () => CudaLibraryStatus): PropertyDescriptor => {
      let library: CudaLibraryStatus | undefined;
      return { enumerable: true, get: () => (library ??= open()) };
    };
    return Object.defineProperties(status, {
      cublasLt: opened(() => this.#binding.cudaCublasLtStatus()),
      cudnn: opened(() => this.#binding.cudaCudnnStatus()),
    });
  }

  /**
   * How cuDNN would compute a convolution on the first device, best first by its own judgement; empty where it has no
   * engine. Off the JavaScript thread: engines load code.
   * @throws ERR_BACKEND_UNAVAILABLE where there is no cuDNN, ERR_UNSUPPORTED for what its graphs cannot say
   */
  cudnnConfigurations(convolution: CudnnConvolution, most: number): Promise<readonly CudnnConfiguration[]> {
    return this.#binding.cudaCudnnConfigurations(convolution, most);
  }

  /**
   * Bytes of scratch memory of the convolution in that configuration, off the JavaScript thread: engines may compile.
   * @throws ERR_UNSUPPORTED where the engine does not take it; ERR_BACKEND_UNAVAILABLE where there is no cuDNN
   */
  cudnnPlan(convolution: CudnnConvolution, configuration: CudnnConfiguration): Promise<number> {
    return this.#binding.cudaCudnnPlan(convolution, configuration);
  }

  /**
   * Machine code of a text without includes, compiled by NVRTC off the JavaScript thread.
   * @throws ERR_COMPILATION with the compiler's log; ERR_BACKEND_UNAVAILABLE where there is no compiler
   */
  compile(text: string, options: readonly string[]): Promise<Uint8Array> {
    return this.#binding.cudaCompile(text, options);
  }
}
