/** A piece of a device's memory. */

import type { Binding } from './binding.js';
import { Resource } from './resource.js';

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

  /** @throws ERR_SHAPE_MISMATCH unless the view has as many bytes */
  write(from: ArrayBufferView): Promise<void> {
    return this.binding.deviceWrite(this.handle, from);
  }

  /** @throws ERR_SHAPE_MISMATCH unless the view has as many bytes */
  read(to: ArrayBufferView): Promise<void> {
    return this.binding.deviceRead(this.handle, to);
  }
}
