/** `tensorwright build`: from an ONNX model to a plan file. */

import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Plan } from '@tensorwright/builder';
import { CommandError, exitCodes, usageError } from '../exit-codes.js';
import { buildPlan } from '../models/build-plan.js';
import { networkInputs, parseModel, requireModel } from '../models/subject.js';
import { addBuildOptions, addCommonOptions, type BuildFlags, buildOptionsOf } from '../options/build-options.js';
import { addPluginOptions, type PluginFlags } from '../options/plugin-options.js';
import { checkWritable } from '../options/output-file.js';
import { profilesFrom } from '../options/shapes.js';
import { countBy, formatBytes, formatCounts, formatMilliseconds } from '../output/format.js';
import { writeJson } from '../output/json.js';
import { Reporter } from '../output/reporter.js';
import { formatFields } from '../output/table.js';
import { describeDropped } from '../output/dropped.js';
import { describePattern } from '../output/pattern.js';
import { withPlugins } from '../plugins/with-plugins.js';
import type { Session } from '../session.js';

interface BuildCommandFlags extends BuildFlags, PluginFlags {
  readonly embedPlugins?: boolean;
  readonly output: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose: number;
}

export function define(command: Command, session: Session): void {
  command.argument('<model>', 'ONNX model').requiredOption('-o, --output <plan>', 'plan file to write');
  addPluginOptions(addBuildOptions(command))
    .option('--embed-plugins', 'put the plugin libraries that the plan calls into it, for this platform')
    .option('--json', 'print one JSON document');
  addCommonOptions(command).action((model: string, flags: BuildCommandFlags) =>
    withPlugins(flags, () => build(model, flags, session)),
  );
}

async function build(path: string, flags: BuildCommandFlags, session: Session): Promise<void> {
  const reporter = new Reporter(session, flags);
  if (flags.shapes && (flags.minShapes ?? flags.optShapes ?? flags.maxShapes))
    throw usageError(
      '--shapes fixes extents, and --min-shapes, --opt-shapes and --max-shapes give ranges: give one of the two',
    );
  await requireModel(path, 'build');
  await checkWritable(flags.output, path);
  const started = performance.now();
  const network = await parseModel(path, reporter, session.signal);
  const parseMs = performance.now() - started;
  const inputs = networkInputs(network);
  const { plan, milliseconds: buildMs } = await buildPlan(
    network,
    { ...buildOptionsOf(flags, profilesFrom(flags, inputs)), embedLibraries: flags.embedPlugins === true },
    reporter,
    session.signal,
  );
  try {
    await plan.save(flags.output);
  } catch (cause) {
    throw new CommandError(exitCodes.failure, (cause as Error).message, { cause });
  }
  const summary = { ...summarise(plan), planBytes: (await stat(flags.output)).size, parseMs, buildMs };
  if (flags.json) writeJson(session, 'build', { model: path, plan: flags.output, ...summary });
  else session.stdout.write(describe(flags.output, summary));
}

type Summary = ReturnType<typeof summarise> & {
  readonly planBytes: number;
  readonly parseMs: number;
  readonly buildMs: number;
};

function summarise(plan: Plan): {
  name: string;
  layers: number;
  backends: Record<string, number>;
  dtypes: Record<string, number>;
  inputs: { name: string; type: string }[];
  outputs: { name: string; type: string }[];
  profiles: number;
  weightBytes: number;
  activationBytes: number;
  lowerBoundBytes: number;
  fallbacks: Plan['header']['report']['fallbacks'];
  patterns: NonNullable<Plan['header']['report']['patterns']>;
  dropped: NonNullable<Plan['header']['report']['dropped']>;
} {
  const { name, program, report, inputs, outputs, profiles } = plan.header;
  const backendOfStep = program.segments.flatMap((s) => Array<string>(s.end - s.begin).fill(s.backend));
  const result = program.steps.map((s) => s.outputs[0] && program.values[s.outputs[0].value]);
  return {
    name,
    layers: program.steps.length,
    backends: countBy(backendOfStep, (b) => b),
    dtypes: countBy(result, (v) => v?.dtype ?? 'none'),
    inputs: inputs.map(({ name: n, type }) => ({ name: n, type })),
    outputs: outputs.map(({ name: n, type }) => ({ name: n, type })),
    profiles: profiles.length,
    weightBytes: report.weightBytes,
    activationBytes: report.activationBytes,
    lowerBoundBytes: report.lowerBoundBytes,
    fallbacks: report.fallbacks,
    patterns: report.patterns ?? [],
    dropped: report.dropped ?? [],
  };
}

function describe(output: string, s: Summary): string {
  const fields: [string, string][] = [
    ['plan', `${output}, ${formatBytes(s.planBytes)}`],
    ['layers', `${s.layers}: ${formatCounts(s.backends)}`],
    ['results', formatCounts(s.dtypes)],
    ...s.inputs.map((i): [string, string] => ['input', `${i.name} ${i.type}`]),
    ...s.outputs.map((o): [string, string] => ['output', `${o.name} ${o.type}`]),
    [
      'memory',
      `weights ${formatBytes(s.weightBytes)}, activations ${formatBytes(s.activationBytes)} (at least ${formatBytes(s.lowerBoundBytes)})`,
    ],
    ['time', `reading ${formatMilliseconds(s.parseMs)}, building ${formatMilliseconds(s.buildMs)}`],
    ...s.fallbacks
      .slice(0, 10)
      .map((f): [string, string] => ['fallback', `${f.node} (${f.operator}) not on ${f.backend}: ${f.reason}`]),
  ];
  if (s.fallbacks.length > 10) fields.push(['', `… and ${s.fallbacks.length - 10} more fallbacks (--json)`]);
  for (const p of s.patterns) fields.push(['pattern', describePattern(p)]);
  for (const d of s.dropped) fields.push(['dropped', describeDropped(d)]);
  return formatFields(fields);
}
