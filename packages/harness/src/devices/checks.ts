/** What must be the same, refused and given back wherever a plan runs. */

import { type RuntimeValue, Tensor, TensorwrightError } from '@tensorwright/core';
import { DeviceBuffer, type Engine } from '@tensorwright/runtime';
import { normalisedError } from '../zoo/compare.js';

export type Inputs = Readonly<Record<string, Tensor>>;
export type Results = Readonly<Record<string, RuntimeValue>>;

/** A context's results once it plays what it has recorded. */
export async function resultsOf(engine: Engine, inputs: Inputs): Promise<Results> {
  await using context = engine.createContext();
  for (let i = 0; i < 3; i++) await context.run({ ...inputs });
  return await context.run({ ...inputs });
}

/** Bytes that differ, of all results together. */
export function differing(a: Results, b: Results): number {
  return Object.entries(a).reduce((count, [name, value]) => {
    const other = b[name];
    if (!(value instanceof Tensor) || !(other instanceof Tensor)) return count + 1;
    const [own, theirs] = [bytesOf(value), bytesOf(other)];
    return count + own.reduce((n, byte, i) => n + Number(byte !== theirs[i]), Math.abs(own.length - theirs.length));
  }, 0);
}

function bytesOf({ data }: Tensor): Buffer {
  if (!ArrayBuffer.isView(data)) throw new Error('strings do not leave devices');
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** The largest error of an output over its deviation. */
export function largestError(got: Results, wanted: Results): number {
  return Math.max(
    ...Object.entries(wanted).map(([name, value]) => {
      const own = got[name];
      return value instanceof Tensor && own instanceof Tensor ? normalisedError(own, value) : Infinity;
    }),
  );
}

/** Whether the engine refuses memory of another device. */
export async function refusesMemoryOf(device: number, engine: Engine, inputs: Inputs): Promise<boolean> {
  const [[name, tensor]] = Object.entries(inputs) as [[string, Tensor]];
  using foreign = await DeviceBuffer.from(tensor, { device });
  await using context = engine.createContext();
  const refusal: unknown = await context
    .run<DeviceBuffer | Tensor>({ ...inputs, [name]: foreign })
    .catch((e: unknown) => e);
  return TensorwrightError.is(refusal) && refusal.code === 'ERR_INVALID_ARGUMENT';
}
