/** `tensorwright run`: runs a model or a plan, and compares what comes out with another implementation or with files. */

import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import type { RuntimeValue } from '@tensorwright/core';
import type { EngineInspection } from '@tensorwright/runtime';
import { type Difference, differences, type Tolerance } from '../compare/difference.js';
import type { LayerDifference } from '../compare/layers.js';
import { peerNames } from '../compare/open-peer.js';
import { accuracyMessage, firstDivergence, layerReport, outputTable, summaryTable } from '../compare/report.js';
import { runLayers, runModel } from '../compare/run-model.js';
import { runPlan } from '../compare/run-plan.js';
import type { Ran, RunFlags } from '../compare/ran.js';
import { summaries } from '../compare/summary.js';
import { CommandError, exitCodes, usageError } from '../exit-codes.js';
import { kindOfFile } from '../models/subject.js';
import { saveValues } from '../models/value-files.js';
import { addBuildOptions, addCommonOptions, refuseBuildOptions } from '../options/build-options.js';
import { makeFolder } from '../options/output-file.js';
import { addCodeOption, addPluginOptions } from '../options/plugin-options.js';
import { integerFrom, list, nonNegative } from '../options/values.js';
import { countBy, formatCounts } from '../output/format.js';
import { writeJson } from '../output/json.js';
import { Reporter } from '../output/reporter.js';
import { paint } from '../output/style.js';
import { withPlugins } from '../plugins/with-plugins.js';
import type { Session } from '../session.js';

export function define(command: Command, session: Session): void {
  command
    .argument('<model-or-plan>', 'ONNX model, which is built first, or plan')
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
    .option('--model <model>', 'with a plan: the ONNX model that it is of, to compare it with')
    .addOption(
      new Option(
        '--max-nrms <x>',
        'tolerated root-mean-square error, over the standard deviation (default: 1e-4; in float16 or TensorFloat-32 1e-2, in bfloat16 5e-2)',
      ).argParser(nonNegative),
    )
    .addOption(new Option('--atol <x>', 'also: tolerated error of each element, absolute').argParser(nonNegative))
    .addOption(new Option('--rtol <x>', 'and relative').argParser(nonNegative))
    .addOption(
      new Option(
        '--load-inputs <name:file>',
        'inputs from files: .npy, TensorProto messages (.pb), or raw elements; others are seeded',
      ).argParser(list),
    )
    .addOption(
      new Option(
        '--load-outputs <name:file>',
        'compare with these files instead; outputs without a file are not compared',
      ).argParser(list),
    )
    .option('--save-inputs <folder>', 'write the inputs there, as .npy files')
    .option('--save-outputs <folder>', 'write the outputs there, as .npy files')
    .addOption(new Option('--seed <n>', 'of the inputs').argParser(integerFrom(0, 2 ** 31)).default(1));
  addCodeOption(addPluginOptions(addBuildOptions(command))).option('--json', 'print one JSON document');
  addCommonOptions(command).action((path: string, flags: RunFlags) =>
    withPlugins(flags, () => run(path, flags, session, command)),
  );
}

async function run(path: string, flags: RunFlags, session: Session, command: Command): Promise<void> {
  const reporter = new Reporter(session, flags);
  const kind = await kindOfFile(path);
  if (kind === 'plan') refuseForPlan(path, flags, command);
  else if (flags.model !== undefined) throw usageError(`--model goes with a plan, and '${basename(path)}' is none`);
  refuseContradictions(kind, flags, command);
  for (const folder of [flags.saveInputs, flags.saveOutputs]) if (folder !== undefined) await makeFolder(folder);
  const subject = { path, flags, reporter, session };
  const ran = kind === 'plan' ? await runPlan(subject) : await runModel(subject);
  const saved = {
    ...(flags.saveInputs !== undefined && { inputs: await saveValues(flags.saveInputs, ran.inputs, reporter) }),
    ...(flags.saveOutputs !== undefined && { outputs: await saveValues(flags.saveOutputs, ran.outputs, reporter) }),
  };
  const tolerance = toleranceOf(flags, ran.engine);
  const compared = ran.wanted && compareAll(ran.outputs, ran.wanted, tolerance);
  const layers =
    ran.layered && flags.layers !== undefined
      ? await runLayers(ran.layered, flags.layers === true ? ['*'] : flags.layers, (o, w) =>
          compareAll(o, w, tolerance),
        )
      : undefined;
  report({ path, flags, session, ran, tolerance, compared, layers, saved });
  if (compared?.every((o) => o.passed) === false || layers?.every((l) => l.difference.passed) === false) {
    const hint = ran.layered ? '; --layers finds out where it begins' : '';
    throw new CommandError(exitCodes.accuracy, accuracyMessage(compared ?? [], layers, hint));
  }
}

function refuseForPlan(path: string, flags: RunFlags, command: Command): void {
  refuseBuildOptions(path, command);
  if (flags.layers !== undefined)
    throw usageError('--layers builds the model anew: give the model instead of the plan');
  if (flags.model === undefined && ['onnxruntime', 'reference'].includes(flags.against))
    throw usageError(`--against ${flags.against} needs the model of the plan: --model model.onnx`);
}

/** What is compared is compared with one thing, and only what is compared has a tolerance. */
function refuseContradictions(kind: 'model' | 'plan', flags: RunFlags, command: Command): void {
  const { against, model, layers, loadOutputs } = flags;
  const isGiven = (name: keyof RunFlags): boolean => command.getOptionValueSource(name) === 'cli';
  if (layers !== undefined && (against === 'none' || loadOutputs))
    throw usageError('--layers compares with another implementation, not with files or with none');
  if (loadOutputs && (model !== undefined || isGiven('against')))
    throw usageError(
      `--load-outputs compares with files, and ${model === undefined ? '--against' : '--model'} with another implementation: give one of the two`,
    );
  if (model !== undefined && against === 'none')
    throw usageError('--model is there to compare with, and --against none does not compare');
  const isCompared = loadOutputs !== undefined || (kind === 'plan' ? model !== undefined : against !== 'none');
  if (isCompared) return;
  const tolerance = (['maxNrms', 'atol', 'rtol'] as const).find(isGiven);
  if (tolerance === undefined) return;
  const option = command.options.find((o) => o.attributeName() === tolerance)!.long!;
  throw usageError(
    `${option} has nothing to tolerate: ${against === 'none' ? '--against none does not compare' : 'a plan is compared where --model or --load-outputs is given'}`,
  );
}

/** What the arithmetic explains: of the precision that the build was permitted, and of the network's own dtypes. */
function toleranceOf(flags: RunFlags, { layers, report: { rounding = [] } }: EngineInspection): Tolerance {
  const results = layers.flatMap((l) => l.outputs.map((o) => o?.type.replace(/\[.*/s, '')));
  const isNarrow = rounding.includes('fp16') || rounding.includes('tf32') || results.includes('float16');
  const usual = rounding.includes('bf16') || results.includes('bfloat16') ? 5e-2 : isNarrow ? 1e-2 : 1e-4;
  return {
    nrms: flags.maxNrms ?? usual,
    ...(flags.atol !== undefined && { atol: flags.atol }),
    ...(flags.rtol !== undefined && { rtol: flags.rtol }),
  };
}

type Values = Readonly<Record<string, RuntimeValue>>;

function compareAll(outputs: Values, wanted: Values, tolerance: Tolerance): Difference[] {
  return Object.keys(wanted).flatMap((name) => differences(name, outputs[name], wanted[name], tolerance));
}

interface Report {
  readonly path: string;
  readonly flags: RunFlags;
  readonly session: Session;
  readonly ran: Ran;
  readonly tolerance: Tolerance;
  readonly compared: readonly Difference[] | undefined;
  readonly layers: readonly LayerDifference[] | undefined;
  readonly saved: Readonly<Record<string, unknown>>;
}

function report({ path, flags, session, ran, tolerance, compared, layers, saved }: Report): void {
  const backends = countBy(ran.engine.layers, (l) => l.backend);
  const told = Object.entries(ran.outputs).flatMap(([name, value]) => summaries(name, value));
  if (flags.json) {
    writeJson(session, 'run', {
      model: path,
      against: ran.peer ?? null,
      backends,
      ...(compared && {
        tolerance,
        passed: [...compared, ...(layers ?? []).map((l) => l.difference)].every((d) => d.passed),
      }),
      outputs: compared ?? told,
      ...(layers && { layers, firstDivergence: firstDivergence(layers) ?? null }),
      ...(Object.keys(saved).length > 0 && { saved }),
    });
    return;
  }
  const painter = paint(session.stdout, session.env);
  const against = ran.peer === undefined ? '' : `, compared with ${ran.peer}`;
  session.stdout.write(`${basename(path)} on ${formatCounts(backends)}${against}\n\n`);
  session.stdout.write(compared ? outputTable(compared, painter) : summaryTable(told));
  if (layers) session.stdout.write(layerReport(layers, compared ?? [], flags.verbose > 0, painter));
}
