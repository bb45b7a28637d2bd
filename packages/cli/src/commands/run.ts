/** `tensorwright run`: runs a model and compares what comes out with another implementation. */

import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type Command, Option } from 'commander';
import type { Network } from '@tensorwright/core';
import { type Difference, differences, type Tolerance } from '../compare/difference.js';
import { type Execution, execute, type ExecutionJob } from '../compare/execute.js';
import { comparableMarks, type LayerDifference, layerDifferences, tensorsToMark } from '../compare/layers.js';
import { type PeerName, peerNames } from '../compare/open-peer.js';
import { CommandError, exitCodes, usageError } from '../exit-codes.js';
import { inputValues } from '../models/input-values.js';
import { networkInputs, requireModel } from '../models/subject.js';
import { type ModelFile, readModelFile, withOutputs } from '../onnx/model-file.js';
import { addBuildOptions, addCommonOptions, type BuildFlags, buildOptionsOf } from '../options/build-options.js';
import { addPluginOptions, type PluginFlags } from '../options/plugin-options.js';
import { profilesFrom } from '../options/shapes.js';
import { integerFrom, list, nonNegative } from '../options/values.js';
import { countBy, formatCounts, formatError } from '../output/format.js';
import { writeJson } from '../output/json.js';
import { Reporter } from '../output/reporter.js';
import { type Painter, paint } from '../output/style.js';
import { formatTable } from '../output/table.js';
import { withPlugins } from '../plugins/with-plugins.js';
import type { Session } from '../session.js';

interface RunFlags extends BuildFlags, PluginFlags {
  readonly against: PeerName;
  readonly layers?: true | readonly string[];
  readonly maxNrms?: number;
  readonly atol?: number;
  readonly rtol?: number;
  readonly loadInputs?: readonly string[];
  readonly seed: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose: number;
}

export function define(command: Command, session: Session): void {
  command
    .argument('<model>', 'ONNX model')
    .addOption(
      new Option('--against <name>', 'what to compare with; auto: ONNX Runtime where it is installed')
        .choices(peerNames)
        .default('auto'),
    )
    .addOption(
      new Option(
        '--layers [tensors]',
        'compare the tensors between the nodes too, and find the first that differs; * matches any characters',
      ).argParser(list),
    )
    .addOption(
      new Option(
        '--max-nrms <x>',
        'tolerated root-mean-square error, over the standard deviation (default: 1e-4; with fp16 or tf32 1e-2, with bf16 5e-2)',
      ).argParser(nonNegative),
    )
    .addOption(new Option('--atol <x>', 'also: tolerated error of each element, absolute').argParser(nonNegative))
    .addOption(new Option('--rtol <x>', 'and relative').argParser(nonNegative))
    .addOption(
      new Option(
        '--load-inputs <name:file>',
        'inputs from files: raw elements, or TensorProto messages (.pb); others are seeded',
      ).argParser(list),
    )
    .addOption(new Option('--seed <n>', 'of the inputs').argParser(integerFrom(0, 2 ** 31)).default(1));
  addPluginOptions(addBuildOptions(command)).option('--json', 'print one JSON document');
  addCommonOptions(command).action((model: string, flags: RunFlags) =>
    withPlugins(flags, () => run(model, flags, session)),
  );
}

/** What both the plain and the layered run need. */
interface Subject {
  readonly path: string;
  readonly file: ModelFile;
  readonly flags: RunFlags;
  readonly tolerance: Tolerance;
  readonly reporter: Reporter;
  readonly session: Session;
}

async function run(path: string, flags: RunFlags, session: Session): Promise<void> {
  const reporter = new Reporter(session, flags);
  await requireModel(path, 'run');
  const file = readModelFile(await readFile(path));
  const subject: Subject = { path, file, flags, tolerance: toleranceOf(flags), reporter, session };
  const plain = await executeBytes(subject);
  const outputs = compareAll(plain, subject.tolerance);
  const layers =
    flags.layers === undefined
      ? undefined
      : await runLayers(subject, flags.layers === true ? ['*'] : flags.layers, plain.inputs);
  const passed = outputs.every((o) => o.passed) && (layers?.every((l) => l.difference.passed) ?? true);
  if (flags.json) {
    writeJson(session, 'run', {
      model: path,
      against: plain.peer,
      backends: countBy(plain.engine.layers, (l) => l.backend),
      tolerance: subject.tolerance,
      passed,
      outputs,
      ...(layers && { layers, firstDivergence: firstDivergence(layers) ?? null }),
    });
  } else {
    const painter = paint(session.stdout, session.env);
    session.stdout.write(
      `${basename(path)} on ${formatCounts(countBy(plain.engine.layers, (l) => l.backend))}, compared with ${plain.peer}\n\n`,
    );
    session.stdout.write(outputTable(outputs, painter));
    if (layers) session.stdout.write(layerReport(layers, outputs, flags.verbose > 0, painter));
  }
  if (!passed) throw new CommandError(exitCodes.accuracy, accuracyMessage(outputs, layers));
}

function toleranceOf(flags: RunFlags): Tolerance {
  const usual = flags.bf16 ? 5e-2 : flags.fp16 || flags.tf32 ? 1e-2 : 1e-4;
  return {
    nrms: flags.maxNrms ?? usual,
    ...(flags.atol !== undefined && { atol: flags.atol }),
    ...(flags.rtol !== undefined && { rtol: flags.rtol }),
  };
}

type Inputs = ExecutionJob['inputs'];

/** @param marks tensors that are outputs besides those of the model */
async function executeBytes(
  subject: Subject,
  marks: readonly string[] = [],
  given?: Inputs,
): Promise<Execution & { readonly inputs: Inputs }> {
  const { path, file, flags, reporter, session } = subject;
  const bytes = marks.length === 0 ? file.bytes : withOutputs(file, marks);
  const network = await parseBytes(subject, bytes);
  const shaped = networkInputs(network);
  const inputs =
    given ??
    (await inputValues(shaped, { shapes: flags.shapes?.[0], load: flags.loadInputs, seed: flags.seed }, reporter));
  const ranges = flags.minShapes ?? flags.optShapes ?? flags.maxShapes;
  const fixed = Object.fromEntries(
    shaped.filter((i) => i.dims?.some((d) => typeof d === 'string')).map(({ name }) => [name, inputs[name]!.dims]),
  );
  const job: ExecutionJob = {
    network,
    model: { path, bytes, file },
    inputs,
    build: buildOptionsOf(flags, ranges ? profilesFrom(flags, shaped) : [fixed]),
    against: flags.against,
    threads: flags.threads,
  };
  return { ...(await execute(job, reporter, session.signal)), inputs };
}

async function parseBytes({ path, reporter, session }: Subject, bytes: Uint8Array): Promise<Network> {
  const { OnnxParser } = await import('@tensorwright/parser-onnx');
  return OnnxParser.parse(bytes, {
    externalDataFolder: dirname(path),
    logger: reporter.logger,
    signal: session.signal,
  });
}

function compareAll(execution: Execution, tolerance: Tolerance): Difference[] {
  return Object.keys(execution.outputs).flatMap((name) =>
    differences(name, execution.outputs[name], execution.wanted[name], tolerance),
  );
}

async function runLayers(subject: Subject, patterns: readonly string[], inputs: Inputs): Promise<LayerDifference[]> {
  const { file, flags, reporter, tolerance } = subject;
  const candidates = tensorsToMark(file, patterns);
  if (candidates.length === 0) throw usageError(`--layers: no tensor between the nodes matches ${patterns.join(', ')}`);
  // Parsing once with all of them tells which are tensors.
  const types = await parseBytes(subject, withOutputs(file, candidates));
  const marks = comparableMarks(types, candidates, flags.against !== 'reference');
  reporter.note(`comparing ${marks.length} tensors between the nodes`);
  const execution = await executeBytes(subject, marks, inputs);
  const byName = new Map(compareAll(execution, tolerance).map((d) => [d.name, d]));
  return layerDifferences(file, execution.engine, byName);
}

function firstDivergence(layers: readonly LayerDifference[]): LayerDifference | undefined {
  return layers.find((l) => !l.difference.passed);
}

function accuracyMessage(outputs: readonly Difference[], layers: readonly LayerDifference[] | undefined): string {
  const bad = outputs.filter((o) => !o.passed);
  const what =
    bad.length > 0 ? `${bad.length} of ${outputs.length} outputs differ` : 'tensors between the nodes differ';
  return `${what}${layers ? '' : '; --layers finds out where it begins'}`;
}

function outputTable(outputs: readonly Difference[], painter: Painter): string {
  const table = formatTable(
    [
      { title: 'output', maxWidth: 48 },
      { title: 'type' },
      { title: 'nrms', align: 'right' },
      { title: 'max error', align: 'right' },
      { title: 'relative', align: 'right' },
      { title: 'not finite', align: 'right' },
      { title: '' },
    ],
    outputs.map((o) => [
      ...differenceCells(o),
      o.passed ? 'passed' : `FAILED${o.reason === undefined ? '' : `: ${o.reason}`}`,
    ]),
  );
  return table.replace(/passed$/gm, painter('green', 'passed')).replace(/FAILED/g, painter('red', 'FAILED'));
}

function differenceCells(d: Difference): string[] {
  return [
    d.name,
    d.type,
    formatError(d.nrms),
    formatError(d.maxAbsolute),
    formatError(d.maxRelative),
    String(d.notFinite),
  ];
}

function layerReport(
  layers: readonly LayerDifference[],
  outputs: readonly Difference[],
  all: boolean,
  painter: Painter,
): string {
  const first = firstDivergence(layers);
  const worst = [...layers].sort((a, b) => b.difference.nrms - a.difference.nrms).slice(0, 10);
  const shown = all ? layers : layers.filter((l) => worst.includes(l));
  const table = formatTable(
    [
      { title: 'node', maxWidth: 40 },
      { title: 'operator' },
      { title: 'tensor', maxWidth: 40 },
      { title: 'type' },
      { title: 'nrms', align: 'right' },
      { title: 'max error', align: 'right' },
      { title: 'tactic' },
    ],
    shown.map(({ node, operator, difference: d, backend, tactic }) => [
      node,
      operator,
      d.name,
      d.type,
      formatError(d.nrms),
      formatError(d.maxAbsolute),
      backend === undefined ? 'no step' : `${backend} ${tactic ?? ''}`,
    ]),
  );
  const title = all
    ? `${layers.length} tensors between the nodes`
    : `the ${shown.length} largest errors of ${layers.length} tensors between the nodes`;
  return `\n${title}\n\n${table}\n${first ? divergence(first, painter) : agreement(outputs, painter)}`;
}

function divergence(
  { node, operator, difference, backend, tactic, inputs }: LayerDifference,
  painter: Painter,
): string {
  const where = backend === undefined ? 'which has no step of its own' : `on ${backend} by ${tactic ?? ''}`;
  const before =
    inputs.length === 0 ? '' : `  its inputs: ${inputs.map((i) => `'${i.name}' ${formatError(i.nrms)}`).join(', ')}\n`;
  const measure =
    difference.reason ?? `nrms ${formatError(difference.nrms)}, max error ${formatError(difference.maxAbsolute)}`;
  return `${painter('red', 'first divergence:')} tensor '${difference.name}' of node '${node}' (${operator}), ${where}: ${measure}\n${before}`;
}

function agreement(outputs: readonly Difference[], painter: Painter): string {
  if (outputs.every((o) => o.passed)) return `${painter('green', 'no divergence')}\n`;
  return `${painter('yellow', 'no divergence with every tensor kept')}: it arises where nodes are fused; --layers with fewer tensors narrows it down\n`;
}
