/** From what the steps computed to what the user gets: memory of their own, or the memory they asked for. */

import { Tensor, TensorwrightError } from '@tensorwright/core';
import { DeviceBuffer } from '../device-buffer.js';
import type { WeightsReader } from '../plan/weights-reader.js';
import type { RunRequest, RunValue } from './driver.js';

export function deliver(results: readonly RunValue[], request: RunRequest, weights: WeightsReader): RunValue[] {
  const taken = new Set<unknown>();
  for (const value of request.inputs) if (value instanceof Tensor) taken.add(memoryOf(value));
  return results.map((value, i) => {
    if (!(value instanceof Tensor)) return value;
    const wanted = request.outputs[i];
    if (wanted instanceof DeviceBuffer) throw new TypeError('a result for a device buffer came back to the host');
    if (wanted) return copyInto(wanted, value);
    const memory = memoryOf(value);
    const shared = taken.has(memory) || weights.owns(memory as ArrayBufferLike);
    if (shared) return new Tensor(value.dtype, (value.data as Float32Array).slice(), value.dims);
    taken.add(memory);
    return value;
  });
}

function memoryOf(tensor: Tensor): unknown {
  const data = tensor.data;
  return ArrayBuffer.isView(data) ? data.buffer : data;
}

function copyInto(wanted: Tensor, value: Tensor): Tensor {
  if (value.data === wanted.data) return wanted;
  const same =
    wanted.dtype === value.dtype &&
    wanted.dims.length === value.dims.length &&
    wanted.dims.every((d, i) => d === value.dims[i]);
  if (!same) {
    const received = `${value.dtype}[${value.dims.join(', ')}]`;
    throw new TensorwrightError(
      'ERR_SHAPE_MISMATCH',
      `run: the tensor given for an output is ${wanted.dtype}[${wanted.dims.join(', ')}], the result is ${received}`,
      { expected: wanted.dims, received: value.dims },
    );
  }
  if (value.dtype === 'string')
    (value.data as readonly string[]).forEach((s, i) => ((wanted.data as unknown as string[])[i] = s));
  else (wanted.data as Float32Array).set(value.data as Float32Array);
  return wanted;
}
