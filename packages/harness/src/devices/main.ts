/**
 * node scripts/from-source.mjs packages/harness/src/devices/main.ts MODEL [--precision fp16] [--duration 1000] [--json FILE]
 * One plan on every device of the machine, each by two contexts: the same results everywhere, near those of the
 * processor; memory of one device is offered to another, which must refuse; how many runs a second they do alone and
 * together; and nothing is left once all is closed. With one device, what needs two is left out, and it says so.
 */

import { Builder } from '@tensorwright/builder';
import { type Network, TensorwrightError } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { deviceMemory, type Engine, Runtime } from '@tensorwright/runtime';
import { writeFile } from 'node:fs/promises';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { seededInputs, usualExtents } from '../zoo/inputs.js';
import { differing, type Inputs, largestError, refusesMemoryOf, type Results, resultsOf } from './checks.js';
import type { DevicesReport } from './report.js';

/** Errors over the deviation that the arithmetic of a precision explains. */
const tolerances: Readonly<Record<string, number>> = { '': 1e-4, tf32: 1e-2, fp16: 1e-2, bf16: 5e-2 };

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

function deviceCount(): number {
  for (let i = 0; ; i++) {
    try {
      if (!deviceMemory(i)) return i;
    } catch (error) {
      if (TensorwrightError.is(error) && error.code === 'ERR_BACKEND_UNAVAILABLE') return i;
      throw error;
    }
  }
}

async function onProcessor(network: Network, inputs: Inputs): Promise<Results> {
  const plan = await new Builder().build(network, { backends: ['cpu', 'reference'], optimizationLevel: 0 });
  await using engine = await Runtime.load(await plan.toBytes());
  return await resultsOf(engine, inputs);
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
  const tolerance = tolerances[values.precision];
  if (positionals.length !== 1 || tolerance === undefined)
    throw new Error('usage: devices MODEL [--precision fp16|bf16|tf32] [--duration 1000] [--json FILE]');
  const count = deviceCount();
  if (count === 0) throw new Error('there is no device here');
  const network = await OnnxParser.parseFile(positionals[0]!);
  const inputs = seededInputs(network, usualExtents);
  const wanted = await onProcessor(network, inputs);
  const precision = values.precision === '' ? {} : { [values.precision]: true };
  const plan = await (await new Builder().build(network, { backends: ['cuda', 'cpu'], precision })).toBytes();
  const engines = await Promise.all(Array.from({ length: count }, (_, device) => Runtime.load(plan, { device })));
  // Two contexts of each device at once: they share weights and nothing else.
  const results = await Promise.all(
    engines.map((engine) => Promise.all([resultsOf(engine, inputs), resultsOf(engine, inputs)])),
  );
  const different = results.map((pair) => Math.max(...pair.map((r) => differing(results[0]![0], r))));
  const errors = results.map((pair) => Math.max(...pair.map((r) => largestError(r, wanted))));
  const refused =
    count === 1
      ? undefined
      : await Promise.all(engines.map((engine, i) => refusesMemoryOf((i + 1) % count, engine, inputs)));
  const milliseconds = Number(values.duration);
  const alone: number[] = [];
  for (const engine of engines) alone.push(await runsPerSecond([engine], inputs, milliseconds));
  const together = count === 1 ? undefined : await runsPerSecond(engines, inputs, milliseconds);
  await Promise.all(engines.map((e) => e.close()));
  const left = engines.map((_, device) => deviceMemory(device)!.ownBytes);
  const report: DevicesReport = {
    devices: count,
    different,
    errors,
    ...(refused && { refused }),
    runsPerSecond: { alone, ...(together !== undefined && { together }) },
    left,
  };
  if (count === 1) stdout.write('one device: nothing to compare it with but the processor, and no other to refuse\n');
  stdout.write(`${JSON.stringify(report)}\n`);
  if (values.json) await writeFile(values.json, JSON.stringify(report));
  const failures = [
    different.some((d) => d !== 0) && 'results differ',
    errors.some((e) => !(e <= tolerance)) && `results are beyond ${String(tolerance)} of the processor's`,
    refused?.includes(false) && 'memory of another device was taken',
    left.some((bytes) => bytes !== 0) && 'memory is left on a device after closing',
  ].filter((f) => typeof f === 'string');
  if (failures.length === 0) return;
  stdout.write(`failed: ${failures.join(', ')}\n`);
  process.exitCode = 1;
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
