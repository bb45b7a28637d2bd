/** From what the steps computed to what the user gets: memory of their own, or the memory they asked for. */

import { Tensor, TensorwrightError } from '@tensorwright/core';
import { DeviceBuffer } from '../device-buffer.js';
import type { WeightsReader } from '../plan/weights-reader.js';
import type { RunRequest, RunValue } from './driver.js';

/**
 * @param names of the outputs, for messages
 * @throws ERR_SHAPE_MISMATCH where the run alone could tell that a tensor which it was given does not fit
 */
export function deliver(
  results: readonly RunValue[],
  request: RunRequest,
  weights: WeightsReader,
  names: readonly string[],
): RunValue[] {
  const taken = new Set(request.inputs.filter(isTensor).map(memoryOf));
  const written = new Set(request.outputs.filter(isTensor).map(memoryOf));
  // All that is still to be read leaves the memory that is wanted, before the first result is written there.
  const kept = results.map((value, i) => {
    if (!(value instanceof Tensor)) return value;
    const wanted = request.outputs[i];
    if (wanted instanceof DeviceBuffer) throw new TypeError('a result for a device buffer came back to the host');
    const memory = memoryOf(value);
    if (wanted) return value.data !== wanted.data && written.has(memory) ? copyOf(value) : value;
    if (taken.has(memory) || weights.owns(memory as ArrayBufferLike)) return copyOf(value);
    taken.add(memory);
    return value;
  });
  return kept.map((value, i) => {
    const wanted = request.outputs[i];
    return wanted instanceof Tensor && value instanceof Tensor ? copyInto(wanted, value, names[i]!) : value;
  });
}

function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

function copyOf(tensor: Tensor): Tensor {
  return new Tensor(tensor.dtype, (tensor.data as Float32Array).slice(), tensor.dims);
}

function memoryOf(tensor: Tensor): unknown {
  const data = tensor.data;
  return ArrayBuffer.isView(data) ? data.buffer : data;
}

function copyInto(wanted: Tensor, value: Tensor, name: string): Tensor {
  if (value.data === wanted.data) return wanted;
  const same = wanted.dims.length === value.dims.length && wanted.dims.every((d, i) => d === value.dims[i]);
  if (!same) {
    throw new TensorwrightError(
      'ERR_SHAPE_MISMATCH',
      `run: output '${name}': expected [${value.dims.join(', ')}], as computed, received [${wanted.dims.join(', ')}]`,
      { output: name, expected: value.dims, received: wanted.dims },
    );
  }
  if (value.dtype === 'string')
    (value.data as readonly string[]).forEach((s, i) => ((wanted.data as unknown as string[])[i] = s));
  else (wanted.data as Float32Array).set(value.data as Float32Array);
  return wanted;
}
