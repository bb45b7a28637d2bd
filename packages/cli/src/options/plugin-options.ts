/** Options that name plugins: what every command has that reads a model or a plan. */

import { type Command, Option } from 'commander';
import { list } from './values.js';

export interface PluginFlags {
  readonly plugins?: readonly string[];
  /** Default: true. */
  readonly stockPlugins?: boolean;
}

export function addPluginOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--plugins <names>',
        'plugins besides those that come with Tensorwright: shared libraries, npm packages or JavaScript modules, separated by commas',
      ).argParser(list),
    )
    .option('--no-stock-plugins', 'without the plugins that come with Tensorwright');
}

/** Of commands that load plans. */
export interface CodeFlags {
  readonly allowCodeFromPlan?: boolean;
}

export function addCodeOption(command: Command): Command {
  return command.option(
    '--allow-code-from-plan',
    'run the plugin libraries that the plan carries: only for plans whose origin you trust',
  );
}
