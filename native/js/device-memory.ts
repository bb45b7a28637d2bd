/** A piece of a device's memory. */

import type { Binding } from './binding.js';
import { NativeError } from './errors.js';
import { Resource } from './resource.js';
import { bytesOf, volatile } from './tensor.js';

export class DeviceMemory extends Resource {
  readonly bytes: number;
  /** Index of the device. */
  readonly device: number;

  /** @internal */
  constructor(binding: Binding, bytes: number, device: number) {
    super(binding, binding.deviceAllocate(bytes, device), 'device buffer');
    this.bytes = bytes;
    this.device = device;
  }

  /** Stands for this memory where a run takes a tensor's data. */
  get data(): ArrayBufferView {
    return this.handle as unknown as ArrayBufferView;
  }

  /**
   * Copies to here. Copies of one memory follow one another in the order of the calls, awaited or not. The view must
   * not be changed or transferred until the promise settles; of memory that is shared or resizable, what it holds now
   * is copied.
   * @throws ERR_SHAPE_MISMATCH unless the view has as many bytes
   */
  async write(from: ArrayBufferView): Promise<void> {
    await this.binding.deviceWrite(this.handle, volatile(from) ? new Uint8Array(bytesOf(from)) : bytesOf(from));
  }

  /**
   * Copies from here, in the same order. Memory that is shared or resizable is written to when the promise settles.
   * @throws ERR_SHAPE_MISMATCH unless the view has as many bytes, at the end too
   */
  async read(to: ArrayBufferView): Promise<void> {
    if (!volatile(to)) return this.binding.deviceRead(this.handle, bytesOf(to));
    const bytes = new Uint8Array(to.byteLength);
    await this.binding.deviceRead(this.handle, bytes);
    if (to.byteLength !== bytes.length)
      throw new NativeError('ERR_SHAPE_MISMATCH', 'the memory to read into has been resized in the meantime');
    bytesOf(to).set(bytes);
  }
}
