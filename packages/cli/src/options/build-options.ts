/** Options of the commands that build a plan. */

import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import type { BuildOptions, PrecisionOptions, Profile } from '@tensorwright/builder';
import { type TacticSource, tacticSources } from '@tensorwright/core';
import { usageError } from '../exit-codes.js';
import { addDeviceOption } from './device-option.js';
import { durationIn, integerFrom, list, namesOf, positive } from './values.js';
import { type ShapeOptions, shapes, type ShapeSpec } from './shapes.js';

export interface BuildFlags extends ShapeOptions {
  readonly backends?: readonly string[];
  readonly fp16?: boolean;
  readonly bf16?: boolean;
  readonly tf32?: boolean;
  readonly keepFloat32?: readonly string[];
  readonly roundingTolerance?: number;
  readonly level?: BuildOptions['optimizationLevel'];
  readonly tacticSources?: BuildOptions['tacticSources'];
  /** Default: true. */
  readonly verifyTactics?: boolean;
  readonly tacticTimeout?: number;
  readonly timingCache?: string;
  readonly timeBudget?: number;
  readonly threads?: number;
}

/** Options that mean nothing once the plan is there. */
const buildOnly = [
  'backends',
  'fp16',
  'bf16',
  'tf32',
  'keepFloat32',
  'roundingTolerance',
  'minShapes',
  'optShapes',
  'maxShapes',
  'level',
  'tacticSources',
  'verifyTactics',
  'tacticTimeout',
  'timingCache',
  'timeBudget',
] as const;

export function addBuildOptions(command: Command): Command {
  return addDeviceOption(command)
    .addOption(
      new Option(
        '--backends <names>',
        'backends in order of preference, separated by commas (default: what this machine has)',
      ).argParser(list),
    )
    .addOption(new Option('--fp16', 'compute in float16 where it is safe').conflicts('bf16'))
    .option('--bf16', 'compute in bfloat16 where it is safe')
    .option('--tf32', 'let float32 contractions round to TensorFloat-32 (CUDA)')
    .addOption(
      new Option('--keep-float32 <nodes>', 'nodes that stay in float32; * matches any characters').argParser(list),
    )
    .addOption(
      new Option(
        '--rounding-tolerance <x>',
        'predicted error, root-mean-square over the standard deviation, above which the first layers stay in float32 (default: 5e-3 for fp16, 3e-2 for bf16)',
      ).argParser(positive),
    )
    .addOption(
      new Option('--shapes <shapes>', "extents of dynamic inputs: 'input:1x3x224x224,mask:1x128', * for all").argParser(
        shapes,
      ),
    )
    .addOption(
      new Option(
        '--min-shapes <shapes>',
        'smallest extents of an optimization profile; repeat for more profiles',
      ).argParser(shapes),
    )
    .addOption(new Option('--opt-shapes <shapes>', 'extents to be fastest at').argParser(shapes))
    .addOption(new Option('--max-shapes <shapes>', 'largest extents').argParser(shapes))
    .addOption(new Option('--level <n>', 'how much to search, 0 to 5 (default: 3)').argParser(integerFrom(0, 5)))
    .addOption(
      new Option(
        '--tactic-sources <names>',
        "libraries that tactics may call (cublasLt, cudnn), separated by commas, or 'none' (default: all)",
      ).argParser((text: string, previous?: readonly TacticSource[]) =>
        text === 'none' ? [] : namesOf(tacticSources)(text, previous),
      ),
    )
    .option('--no-verify-tactics', "take a device's fastest tactics without comparing their results")
    .addOption(
      new Option(
        '--tactic-timeout <time>',
        "how long a device's tactic may take to be tried, before it counts as hanging (default: 30s)",
      ).argParser(durationIn('s')),
    )
    .option('--timing-cache <folder>', 'keep measured times here between builds')
    .addOption(
      new Option('--time-budget <time>', 'the most that timing may take: 30s, 2min (default: unlimited)').argParser(
        durationIn('s'),
      ),
    )
    .addOption(
      new Option('--threads <n>', 'threads of CPU kernels (default: what the machine has)').argParser(
        integerFrom(1, 1024),
      ),
    );
}

/** @throws usage error where an option is given that a plan has no use for */
export function refuseBuildOptions(path: string, command: Command): void {
  for (const name of buildOnly) {
    if (command.getOptionValueSource(name) !== 'cli') continue;
    const option = command.options.find((o) => o.attributeName() === name)!;
    throw usageError(`${option.long!} is for building, and '${basename(path)}' is a plan already`);
  }
}

/** What every command has that works on a model or a plan. */
export function addCommonOptions(command: Command): Command {
  return command
    .option('-q, --quiet', 'no progress, no notes and no warnings')
    .option('-v, --verbose', 'tell more; twice: everything', (_, n: number) => n + 1, 0);
}

/**
 * Of a command that runs one shape: the first and only.
 * @throws usage error where there are more
 */
export function oneShape({ shapes: given }: BuildFlags): ShapeSpec | undefined {
  if (given && given.length > 1)
    throw usageError('--shapes is given twice, and one shape is run: separate inputs by commas');
  return given?.[0];
}

export function buildOptionsOf(flags: BuildFlags, profiles: readonly Profile[] | undefined): BuildOptions {
  const precision: PrecisionOptions = {
    ...(flags.fp16 && { fp16: true }),
    ...(flags.bf16 && { bf16: true }),
    ...(flags.tf32 && { tf32: true }),
    ...(flags.keepFloat32 && { keepFloat32: flags.keepFloat32 }),
    ...(flags.roundingTolerance !== undefined && { roundingTolerance: flags.roundingTolerance }),
  };
  return {
    ...(flags.backends && { backends: flags.backends }),
    ...(Object.keys(precision).length > 0 && { precision }),
    // A profile without entries says nothing: all inputs are of fixed shape.
    ...(profiles?.some((p) => Object.keys(p).length > 0) && { profiles }),
    ...(flags.level !== undefined && { optimizationLevel: flags.level }),
    ...(flags.tacticSources && { tacticSources: flags.tacticSources }),
    ...(flags.verifyTactics === false && { verifyTactics: false }),
    ...(flags.tacticTimeout !== undefined && { tacticTimeoutMs: flags.tacticTimeout }),
    ...(flags.timingCache !== undefined && { timingCache: flags.timingCache }),
    ...(flags.timeBudget !== undefined && { timeBudgetMs: flags.timeBudget }),
    ...(flags.threads !== undefined && { threads: flags.threads }),
  };
}
