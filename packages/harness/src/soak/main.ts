/**
 * `npm run soak -- MODEL`: memory of the process and of the device over many runs, contexts, builds and ended workers,
 * and how late a timer is meanwhile. Exits with 5 where the device's memory grows.
 */

import { Builder, type BuildOptions, type Plan } from '@tensorwright/builder';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { deviceMemory, Runtime } from '@tensorwright/runtime';
import type { TensorType } from '@tensorwright/core';
import { Command } from 'commander';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { seededInputs, usualDims, usualExtents } from '../zoo/inputs.js';
import type { Memory, SoakReport } from './report.js';

/** Largest delay of a 5 ms timer while `work` runs, in milliseconds beyond the 5. */
async function latestTimer<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly delay: number }> {
  let worst = 0;
  let last = performance.now();
  const note = (): void => {
    const now = performance.now();
    worst = Math.max(worst, now - last - 5);
    last = now;
  };
  const timer = setInterval(note, 5);
  try {
    const result = await work();
    // A timer that is due while the last stretch ends counts too.
    note();
    return { result, delay: worst };
  } finally {
    clearInterval(timer);
  }
}

function memory(): Memory {
  const residentMegabytes = Math.round(process.memoryUsage().rss / 1e6);
  const state = deviceMemory();
  if (!state) return { residentMegabytes };
  const { ownBytes, freeBytes, totalBytes } = state;
  return { residentMegabytes, device: { ownBytes, usedBytes: totalBytes - freeBytes } };
}

/** What a second half holds that the first did not: freed later, cached, or lost. */
function growth(from: Memory | undefined, to: Memory | undefined): number {
  return from?.device && to?.device ? to.device.ownBytes - from.device.ownBytes : 0;
}

async function endWorkers(planPath: string, modelPath: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { planPath, modelPath } });
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await new Promise((resolve) => setTimeout(resolve, i % 5));
    await worker.terminate();
  }
}

async function main(): Promise<void> {
  const program = new Command()
    .argument('<model>', 'an ONNX file')
    .option('--runs <n>', 'runs of one context', '10000')
    .option('--contexts <n>', 'contexts opened and closed', '200')
    .option('--builds <n>', 'builds of the model, each loaded, run and closed', '0')
    .option('--level <n>', 'optimization level', '3')
    .option('--workers <n>', 'worker threads ended in the middle of a run', '100')
    .option('--backends <names>', 'backends in order of preference')
    .parse();
  const modelPath = program.args[0]!;
  const options = program.opts<{
    runs: string;
    contexts: string;
    builds: string;
    level: string;
    workers: string;
    backends?: string;
  }>();
  const folder = await mkdtemp(join(tmpdir(), 'tensorwright-soak-'));
  const planPath = join(folder, 'model.plan');
  try {
    const { result: network, delay: parseDelay } = await latestTimer(() => OnnxParser.parseFile(modelPath));
    const inputs = seededInputs(network, usualExtents);
    const profile = Object.fromEntries(
      network.inputs.map(({ name, value }) => [name, usualDims((value.type as TensorType).dims ?? [], usualExtents)]),
    );
    const build = (): Promise<Plan> =>
      new Builder().build(network, {
        profiles: [profile],
        optimizationLevel: Number(options.level) as BuildOptions['optimizationLevel'] & number,
        ...(options.backends !== undefined && { backends: options.backends.split(',') }),
      });
    const { delay: buildDelay } = await latestTimer(async () => (await build()).save(planPath));
    const { result: engine, delay: loadDelay } = await latestTimer(() => Runtime.load(planPath));
    const context = engine.createContext();
    const { delay: runDelay } = await latestTimer(async () => {
      for (let i = 0; i < 10; i++) await context.run(inputs);
    });
    const timerDelayMs = { parse: parseDelay, build: buildDelay, load: loadDelay, run: runDelay };
    const runs = Number(options.runs);
    const seen: Record<string, Memory> = {};
    for (let i = 0; i < runs; i++) {
      if (i === Math.floor(runs / 10)) seen['afterWarmUp'] = memory();
      await context.run(inputs);
    }
    seen['afterRuns'] = memory();
    for (let i = 0; i < Number(options.contexts); i++) {
      const other = engine.createContext();
      await other.run(inputs);
      await other.close();
    }
    seen['afterContexts'] = memory();
    const builds = Number(options.builds);
    for (let i = 0; i < builds; i++) {
      if (i === Math.ceil(builds / 10)) seen['afterFirstBuilds'] = memory();
      const built = await Runtime.load(await (await build()).toBytes());
      await built.createContext().run(inputs);
      await built.close();
    }
    if (builds > 0) seen['afterBuilds'] = memory();
    await endWorkers(planPath, modelPath, Number(options.workers));
    seen['afterWorkers'] = memory();
    await engine.close();
    seen['afterClose'] = memory();
    const counts = { runs, contexts: Number(options.contexts), builds, workers: Number(options.workers) };
    const report: SoakReport = { model: modelPath, counts, timerDelayMs, memory: seen };
    process.stdout.write(`${JSON.stringify(report, null, 1)}\n`);
    const grown = {
      runs: growth(seen['afterWarmUp'], seen['afterRuns']),
      contexts: growth(seen['afterRuns'], seen['afterContexts']),
      builds: growth(seen['afterFirstBuilds'], seen['afterBuilds']),
      workers: growth(seen['afterContexts'], seen['afterWorkers']),
      'what was closed': seen['afterClose'].device?.ownBytes ?? 0,
    };
    for (const [over, bytes] of Object.entries(grown)) {
      if (bytes <= 0) continue;
      process.stdout.write(`the device's memory grew by ${String(bytes)} bytes over ${over}\n`);
      process.exitCode = 5;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

if (isMainThread) {
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
  });
} else {
  const { planPath, modelPath } = workerData as { planPath: string; modelPath: string };
  void (async () => {
    const inputs = seededInputs(await OnnxParser.parseFile(modelPath), usualExtents);
    const context = (await Runtime.load(planPath)).createContext();
    parentPort!.postMessage('running');
    for (;;) await context.run(inputs);
  })();
}
