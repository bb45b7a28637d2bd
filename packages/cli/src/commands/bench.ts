/** `tensorwright bench`: trtexec's job, latency and throughput of a model or a plan. */

import { stat } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { Tensor } from '@tensorwright/core';
import type { Engine } from '@tensorwright/runtime';
import { usageError } from '../exit-codes.js';
import { measure, measureProfiles } from '../bench/measure.js';
import { describe, type Opened, reportOf } from '../bench/report.js';
import { buildPlan } from '../models/build-plan.js';
import { inputValues } from '../models/input-values.js';
import { openPlan, optimumOf } from '../models/open-plan.js';
import { kindOfFile, networkInputs, parseModel } from '../models/subject.js';
import {
  addBuildOptions,
  addCommonOptions,
  type BuildFlags,
  buildOptionsOf,
  oneShape,
  refuseBuildOptions,
} from '../options/build-options.js';
import { addCodeOption, addPluginOptions, type CodeFlags, type PluginFlags } from '../options/plugin-options.js';
import { profilesFrom, resolveShapes, type ShapeSpec } from '../options/shapes.js';
import { durationIn, integerFrom, list, percentages } from '../options/values.js';
import { writeJson } from '../output/json.js';
import { Reporter } from '../output/reporter.js';
import { withPlugins } from '../plugins/with-plugins.js';
import type { Session } from '../session.js';

interface BenchFlags extends BuildFlags, PluginFlags, CodeFlags {
  readonly warmUp: number;
  readonly duration: number;
  readonly iterations: number;
  readonly streams: number;
  readonly percentile: readonly number[];
  readonly profile?: number;
  readonly allProfiles?: boolean;
  readonly graphs: boolean;
  readonly loadInputs?: readonly string[];
  readonly seed: number;
  readonly layers?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose: number;
}

export function define(command: Command, session: Session): void {
  command
    .argument('<model-or-plan>', 'ONNX model, which is built first, or plan')
    .addOption(
      new Option('--warm-up <time>', 'run this long before measuring; a bare number is milliseconds')
        .argParser(durationIn('ms'))
        .default(200, '200ms'),
    )
    .addOption(
      new Option('--duration <time>', 'measure at least this long; a bare number is seconds')
        .argParser(durationIn('s'))
        .default(3000, '3s'),
    )
    .addOption(new Option('--iterations <n>', 'measure at least this many runs').argParser(integerFrom(1)).default(10))
    .addOption(
      new Option('--streams <n>', 'execution contexts that run at the same time')
        .argParser(integerFrom(1, 256))
        .default(1),
    )
    .addOption(
      new Option('--percentile <list>', 'percentiles to report')
        .argParser(percentages)
        .default([50, 90, 95, 99], '50,90,95,99'),
    )
    .addOption(
      new Option(
        '--profile <n>',
        'optimization profile that inputs must fit, and whose optimum is the default shape',
      ).argParser(integerFrom(0)),
    )
    .option('--all-profiles', 'time every optimization profile at its optimum, too')
    .option('--no-graphs', "start a device's steps one by one instead of as one graph")
    .addOption(
      new Option(
        '--load-inputs <name:file>',
        'inputs from files: .npy, TensorProto messages (.pb), or raw elements; others are seeded',
      ).argParser(list),
    )
    .addOption(new Option('--seed <n>', 'of the inputs').argParser(integerFrom(0, 2 ** 31)).default(1))
    .option('--layers', 'report the time of every layer');
  addCodeOption(addPluginOptions(addBuildOptions(command))).option('--json', 'print one JSON document');
  addCommonOptions(command).action((path: string, flags: BenchFlags) =>
    withPlugins(flags, () => bench(path, flags, session, command)),
  );
}

async function bench(path: string, flags: BenchFlags, session: Session, command: Command): Promise<void> {
  const reporter = new Reporter(session, flags);
  const kind = await kindOfFile(path);
  if (kind === 'plan') refuseBuildOptions(path, command);
  const opened =
    kind === 'plan' ? await openBuilt(path, flags, reporter) : await openModel(path, flags, reporter, session.signal);
  try {
    checkProfile(opened.engine, flags.profile);
    const inputs = await inputValues(
      opened.engine.inputs,
      {
        shapes: opened.shapes,
        otherwise: optimumOf(opened.engine, flags.profile ?? 0),
        load: flags.loadInputs,
        seed: flags.seed,
      },
      reporter,
    );
    const { warmUp: warmUpMs, duration: durationMs, iterations, streams, profile, graphs } = flags;
    const options = { warmUpMs, durationMs, iterations, streams, profile, graphs };
    const measured = await measure(opened.engine, inputs, options, reporter, session.signal);
    const inputsOf = async (index: number): Promise<Record<string, Tensor>> =>
      inputValues(
        opened.engine.inputs,
        { shapes: undefined, otherwise: optimumOf(opened.engine, index), load: undefined, seed: flags.seed },
        reporter,
      );
    const profiles =
      flags.allProfiles === true ? await measureProfiles(opened.engine, inputsOf, options, session.signal) : undefined;
    const measurement = { ...measured, ...(profiles && { profiles }) };
    const shapes = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, t.dims]));
    const report = reportOf(path, opened, measurement, flags, shapes);
    if (flags.json) writeJson(session, 'bench', report);
    else session.stdout.write(describe(report, measurement, flags));
  } finally {
    await opened.engine.close();
  }
}

function checkProfile({ profiles }: Engine, index: number | undefined): void {
  if (index === undefined || index < profiles.length) return;
  const there = profiles.length === 0 ? 'the plan has no profiles' : `the last profile is ${profiles.length - 1}`;
  throw usageError(`--profile ${index}: ${there}`);
}

interface Subject extends Opened {
  readonly shapes: ShapeSpec | undefined;
}

async function openBuilt(path: string, flags: BenchFlags, reporter: Reporter): Promise<Subject> {
  const started = performance.now();
  const engine = await openPlan(path, flags, reporter);
  return { engine, shapes: oneShape(flags), loadMs: performance.now() - started, planBytes: (await stat(path)).size };
}

async function openModel(path: string, flags: BenchFlags, reporter: Reporter, signal: AbortSignal): Promise<Subject> {
  const { Runtime } = await import('@tensorwright/runtime');
  const network = await parseModel(path, reporter, signal);
  const inputs = networkInputs(network);
  const ranges = flags.minShapes ?? flags.optShapes ?? flags.maxShapes;
  let shapes = oneShape(flags);
  let profiles = profilesFrom(flags, inputs);
  if (!ranges) {
    // As trtexec: without ranges the engine is built for the very shapes it is measured at.
    const { dims, assumed } = resolveShapes(inputs, shapes);
    if (assumed.length > 0) reporter.note(`dimensions ${assumed.join(', ')} are taken to be 1; --shapes gives others`);
    const dynamic = new Set(inputs.filter((i) => i.dims?.some((d) => typeof d === 'string')).map((i) => i.name));
    profiles = [Object.fromEntries([...dims].filter(([name]) => dynamic.has(name)))];
    shapes = dims;
  }
  const { plan, milliseconds: buildMs } = await buildPlan(network, buildOptionsOf(flags, profiles), reporter, signal);
  const started = performance.now();
  const engine = await Runtime.load(plan, {
    logger: reporter.logger,
    ...(flags.threads !== undefined && { threads: flags.threads }),
  });
  return { engine, shapes, buildMs, loadMs: performance.now() - started, planBytes: plan.byteLength };
}
