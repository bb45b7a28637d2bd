/** What an engine takes: its device, and a whole run. */

import { byteLength, type DType } from '@tensorwright/core';
import { DeviceBuffer, type Engine, type ExecutionContext } from '@tensorwright/runtime';
import { median } from '../median.js';
import type { FloatType, Problem } from './case.js';
import { tensorsOf } from './network.js';

export interface Timing {
  /** Median of the device, without transfers; left out where the values decide extents, which the host waits for. */
  readonly microseconds?: number;
  /** Median of a run as its caller sees it, inputs and outputs in the memory of the device. */
  readonly runMicroseconds?: number;
  /** Of inputs and outputs. */
  readonly bytes: number;
  /** What ran, but for transfers. */
  readonly tactics: readonly string[];
}

const mostPlays = 200;
/** Of all plays together, the first third of which are not counted: after a pause they find the device's clock low. */
const budgetMicroseconds = 2e6;

export async function timed(engine: Engine, problem: Problem, float: FloatType): Promise<Timing> {
  await using context = engine.createContext();
  const inputs = tensorsOf(problem, float);
  const outputs = await context.run(inputs);
  const first = await context.deviceTimes(3);
  const plays = playsWithin(first && median(first.device));
  await context.deviceTimes(Math.ceil(plays / 2));
  const times = await context.deviceTimes(plays);
  const operands = [...Object.values(inputs), ...Object.values(outputs)] as { dtype: DType; size: number }[];
  const bytes = operands.reduce((sum, t) => sum + byteLength(t.dtype, t.size), 0);
  const tactics = engine
    .inspect()
    .layers.map((layer) => layer.tactic)
    .filter((tactic) => tactic !== 'transfer');
  return {
    ...(times?.complete === true && { microseconds: median(times.device) }),
    ...(times && { runMicroseconds: median(await runTimes(context, inputs, outputs)) }),
    ...{ bytes, tactics },
  };
}

function playsWithin(microseconds = 0): number {
  return Math.min(mostPlays, Math.max(5, Math.floor(budgetMicroseconds / (microseconds + 1))));
}

type Tensors = ReturnType<typeof tensorsOf>;

async function runTimes(context: ExecutionContext, inputs: Tensors, outputs: Tensors): Promise<number[]> {
  const buffers: [string, DeviceBuffer][] = [];
  for (const [name, tensor] of Object.entries(inputs)) buffers.push([name, await DeviceBuffer.from(tensor)]);
  const given = Object.fromEntries(buffers);
  const results = Object.entries(outputs).map(([name, { dtype, dims }]): [string, DeviceBuffer] => [
    name,
    DeviceBuffer.allocate(dtype, dims),
  ]);
  const options = { outputs: Object.fromEntries(results) };
  const microsecondsOfRun = (): number => {
    const start = performance.now();
    context.runSync(given, options);
    return (performance.now() - start) * 1000;
  };
  microsecondsOfRun();
  const plays = playsWithin(microsecondsOfRun());
  for (let i = 0; i < plays / 2; i++) microsecondsOfRun();
  const list = Array.from({ length: plays }, microsecondsOfRun);
  for (const [, buffer] of [...buffers, ...results]) buffer.close();
  return list;
}
