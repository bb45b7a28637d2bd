/**
 * node scripts/from-source.mjs packages/harness/src/devices/main.ts MODEL [--precision fp16] [--duration 1000] [--json FILE]
 * One plan on every device of the machine: the results of the first one on all others, and, by contexts side by side,
 * how many runs a second they do alone and together. Tensors of one device are offered to another, which must refuse.
 */

import { Builder } from '@tensorwright/builder';
import { type RuntimeValue, Tensor, TensorwrightError } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { DeviceBuffer, deviceMemory, type Engine, Runtime } from '@tensorwright/runtime';
import { writeFile } from 'node:fs/promises';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { seededInputs, usualExtents } from '../zoo/inputs.js';

type Inputs = Readonly<Record<string, Tensor>>;

/** Runs of two contexts, the host's part of one beside the device's part of the other, in `milliseconds`. */
async function runsPerSecond(engines: readonly Engine[], inputs: Inputs, milliseconds: number): Promise<number> {
  const contexts = engines.flatMap((e) => [e.createContext(), e.createContext()]);
  for (const context of contexts) for (let i = 0; i < 3; i++) await context.run({ ...inputs });
  const end = performance.now() + milliseconds;
  let runs = 0;
  await Promise.all(
    contexts.map(async (context) => {
      for (; performance.now() < end; runs++) await context.run({ ...inputs });
    }),
  );
  await Promise.all(contexts.map((c) => c.close()));
  return (1000 * runs) / milliseconds;
}

/** Bytes that differ, of all results together. */
function differing(a: Readonly<Record<string, RuntimeValue>>, b: Readonly<Record<string, RuntimeValue>>): number {
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

async function refusesOthers(engine: Engine, inputs: Inputs, device: number): Promise<boolean> {
  const [[name, tensor]] = Object.entries(inputs) as [[string, Tensor]];
  using foreign = await DeviceBuffer.from(tensor, { device });
  await using context = engine.createContext();
  const refusal: unknown = await context
    .run<DeviceBuffer | Tensor>({ ...inputs, [name]: foreign })
    .catch((e: unknown) => e);
  return TensorwrightError.is(refusal) && refusal.code === 'ERR_INVALID_ARGUMENT';
}

function deviceCount(): number {
  for (let i = 0; ; i++) {
    try {
      if (!deviceMemory(i)) return i;
    } catch {
      return i;
    }
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: argv.slice(2),
    options: {
      precision: { type: 'string', default: '' },
      duration: { type: 'string', default: '1000' },
      json: { type: 'string', default: '' },
    },
    allowPositionals: true,
  });
  const network = await OnnxParser.parseFile(positionals[0]!);
  const inputs = seededInputs(network, usualExtents);
  const precision = values.precision === '' ? {} : { [values.precision]: true };
  const plan = await (await new Builder().build(network, { backends: ['cuda', 'cpu'], precision })).toBytes();
  const count = deviceCount();
  const engines = await Promise.all(Array.from({ length: count }, (_, device) => Runtime.load(plan, { device })));
  const results = await Promise.all(
    engines.map(async (engine) => {
      await using context = engine.createContext();
      for (let i = 0; i < 3; i++) await context.run({ ...inputs });
      return await context.run({ ...inputs });
    }),
  );
  const different = results.map((r) => differing(results[0]!, r));
  const refused = await Promise.all(
    engines.map((e, i) => (count > 1 ? refusesOthers(e, inputs, (i + 1) % count) : Promise.resolve(true))),
  );
  const milliseconds = Number(values.duration);
  const alone: number[] = [];
  for (const engine of engines) alone.push(await runsPerSecond([engine], inputs, milliseconds));
  const together = await runsPerSecond(engines, inputs, milliseconds);
  await Promise.all(engines.map((e) => e.close()));
  const left = engines.map((_, device) => deviceMemory(device)!.ownBytes);
  const report = { devices: count, different, refused, runsPerSecond: { alone, together }, left };
  stdout.write(`${JSON.stringify(report)}\n`);
  if (values.json) await writeFile(values.json, JSON.stringify(report));
  if (different.some((d) => d !== 0) || refused.includes(false)) process.exitCode = 1;
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
