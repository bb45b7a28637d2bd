/** A tensor in the memory of a device. */

import {
  byteLength,
  type DType,
  dtypeInfo,
  elementCount,
  isDType,
  Tensor,
  TensorwrightError,
} from '@tensorwright/core';
import { type DeviceMemory, loadNative } from '@tensorwright/native';
import { checkOptions, is } from './options.js';

/** Where a buffer lies. */
export interface DeviceBufferOptions {
  /** Index of the device, of those that CUDA_VISIBLE_DEVICES names. Default: 0. */
  readonly device?: number;
}

/**
 * Memory of a device that runs read inputs from and write outputs to, without a way through the host. The same buffer
 * may be an output of one engine and an input of another.
 */
export class DeviceBuffer {
  /** Of the elements, which lie as in a `Tensor` of the dtype. */
  readonly dtype: DType;
  /** Extents, outermost first; row-major. */
  readonly dims: readonly number[];
  readonly #memory: DeviceMemory;

  private constructor(dtype: DType, dims: readonly number[], memory: DeviceMemory) {
    this.dtype = dtype;
    this.dims = dims;
    this.#memory = memory;
  }

  /**
   * Uninitialised memory.
   * @throws ERR_BACKEND_UNAVAILABLE where there is no such device, ERR_OUT_OF_MEMORY, ERR_UNSUPPORTED for strings,
   * ERR_DTYPE_MISMATCH, ERR_SHAPE_MISMATCH and ERR_INVALID_OPTION for what is no dtype, no dims and no option
   */
  static allocate(dtype: DType, dims: readonly number[], options: DeviceBufferOptions = {}): DeviceBuffer {
    checkOptions<DeviceBufferOptions>('DeviceBuffer', options, { device: is.integer(0, 1024) });
    if (!isDType(dtype))
      throw new TensorwrightError('ERR_DTYPE_MISMATCH', `DeviceBuffer: unknown dtype '${String(dtype)}'`, { dtype });
    checkDims(dims);
    if (dtypeInfo(dtype).class === 'string')
      throw new TensorwrightError('ERR_UNSUPPORTED', 'DeviceBuffer: strings are not kept on devices', { dtype });
    const bytes = byteLength(dtype, elementCount(dims));
    return new DeviceBuffer(dtype, [...dims], loadNative().cuda.allocate(bytes, options.device));
  }

  /** A copy of the tensor. @throws as `allocate` */
  static async from(tensor: Tensor, options: DeviceBufferOptions = {}): Promise<DeviceBuffer> {
    const buffer = DeviceBuffer.allocate(tensor.dtype, tensor.dims, options);
    await buffer.write(tensor);
    return buffer;
  }

  /** In bytes, without what the driver rounds up. */
  get byteLength(): number {
    return this.#memory.bytes;
  }

  /** Index of the device. */
  get device(): number {
    return this.#memory.device;
  }

  /**
   * Copies the elements of a tensor of the same type and dims here. Copies follow one another in the order of the
   * calls, awaited or not; the tensor must not be changed until the promise settles.
   * @throws ERR_DTYPE_MISMATCH, ERR_SHAPE_MISMATCH
   */
  async write(tensor: Tensor): Promise<void> {
    if (tensor.dtype !== this.dtype)
      throw new TensorwrightError(
        'ERR_DTYPE_MISMATCH',
        `DeviceBuffer.write: expected ${this.dtype}, received ${tensor.dtype}`,
        { expected: this.dtype, received: tensor.dtype },
      );
    if (tensor.dims.length !== this.dims.length || tensor.dims.some((d, i) => d !== this.dims[i]))
      throw new TensorwrightError(
        'ERR_SHAPE_MISMATCH',
        `DeviceBuffer.write: expected [${this.dims.join(', ')}], received [${tensor.dims.join(', ')}]`,
        { expected: this.dims, received: tensor.dims },
      );
    await this.#memory.write(tensor.bytes);
  }

  /** Copies the elements into a new tensor of the host, after the writes that were asked for before. */
  async read(): Promise<Tensor> {
    const bytes = new Uint8Array(this.byteLength);
    await this.#memory.read(bytes);
    return Tensor.fromBytes(this.dtype, bytes, [...this.dims]);
  }

  /** Releases the memory when runs that have begun with it have ended; later ones are refused. Closing twice is fine. */
  close(): void {
    this.#memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal What the native executor takes for it. */
  get nativeTensor(): { readonly dtype: DType; readonly dims: readonly number[]; readonly data: ArrayBufferView } {
    return { dtype: this.dtype, dims: this.dims, data: this.#memory.data };
  }
}

/** @throws ERR_SHAPE_MISMATCH */
function checkDims(dims: unknown): void {
  const isList = Array.isArray(dims);
  if (isList && dims.every((d) => Number.isSafeInteger(d) && d >= 0)) return;
  throw new TensorwrightError(
    'ERR_SHAPE_MISMATCH',
    `DeviceBuffer: dims must be non-negative integers, received ${isList ? `[${dims.join(', ')}]` : String(dims)}`,
    { dims },
  );
}
