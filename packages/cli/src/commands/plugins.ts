/** `tensorwright plugins`: what is registered, and how it is called. */

import type { Command } from 'commander';
import { pluginTitle, Tensor } from '@tensorwright/core';
import type { AnyPlugin, Implementation } from '@tensorwright/plugins';
import { CommandError, exitCodes } from '../exit-codes.js';
import { addPluginOptions, type PluginFlags } from '../options/plugin-options.js';
import { writeJson } from '../output/json.js';
import { formatFields, formatTable } from '../output/table.js';
import { type PluginOrigins, withPlugins } from '../plugins/with-plugins.js';
import type { Session } from '../session.js';

interface PluginsFlags extends PluginFlags {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** Backends that run calls of it; of layers, all do. */
const backendsOf: Readonly<Record<Implementation, readonly string[]>> = {
  cuda: ['cuda'],
  cpu: ['plugins'],
  layers: ['any'],
  library: ['cpu', 'cuda'],
};

export function define(command: Command, session: Session): void {
  command.argument('[names...]', 'tell all of the plugins of these names');
  addPluginOptions(command)
    .option('--json', 'print one JSON document')
    .option('-v, --verbose', 'tell all of every plugin')
    .addHelpText(
      'after',
      "\nBackend 'plugins' runs functions in TypeScript, 'any' means that the plugin becomes layers, and 'cpu, cuda?' that its\nlibrary says for each call where it runs.",
    )
    .action((names: readonly string[], flags: PluginsFlags) =>
      withPlugins(flags, async (origins) => {
        const listed = describeAll(origins, names);
        if (flags.json) writeJson(session, 'plugins', { plugins: listed });
        else session.stdout.write(names.length > 0 || flags.verbose ? listed.map(page).join('\n') : table(listed));
      }),
    );
}

interface Description {
  readonly name: string;
  readonly version: string;
  readonly namespace: string;
  /** 'stock', or as it was named on the command line. */
  readonly from: string;
  /** The built-in operator that it brings kernels for. */
  readonly implements?: string;
  readonly implementations: readonly Implementation[];
  readonly backends: readonly string[];
  readonly inputs: readonly { readonly name: string; readonly optional: boolean }[];
  readonly outputs: readonly string[];
  readonly fields: readonly {
    readonly name: string;
    readonly kind: string;
    readonly required: boolean;
    readonly default?: unknown;
  }[];
  /** Names of the subgraphs that it takes the place of. */
  readonly patterns: readonly string[];
}

/** @throws CommandError for a name that no plugin has */
function describeAll(origins: PluginOrigins, names: readonly string[]): Description[] {
  const all = [...origins].map(([plugin, from]) => describe(plugin, from));
  const unknown = names.find((name) => !all.some((p) => p.name === name));
  if (unknown !== undefined)
    throw new CommandError(exitCodes.usage, `there is no plugin '${unknown}': tensorwright plugins lists them`);
  return all
    .filter((p) => names.length === 0 || names.includes(p.name))
    .sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name) || compare(a.version, b.version));
}

function compare(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

function describe({ key, operator, ...plugin }: AnyPlugin, from: string): Description {
  const { implementations, inputs, outputs, fields, patterns = [] } = plugin;
  return {
    name: key.name,
    version: key.version,
    namespace: key.namespace,
    from,
    ...(operator.custom !== true && { implements: operator.name }),
    implementations,
    backends: [...new Set(implementations.flatMap((i) => backendsOf[i]))],
    inputs: inputs.map((name) => ({ name: name.replace(/\?$/, ''), optional: name.endsWith('?') })),
    outputs,
    fields: Object.entries(fields).map(([name, { kind, default: fallback }]) => ({
      name,
      kind,
      required: fallback === undefined,
      ...(fallback !== undefined && {
        default: fallback instanceof Tensor ? describeTensor(fallback as Tensor) : fallback,
      }),
    })),
    patterns: patterns.map((p) => p.name),
  };
}

function describeTensor({ dtype, dims }: Tensor): string {
  return `${dtype}[${dims.join(', ')}]`;
}

const inputNames = (d: Description): string => d.inputs.map((i) => `${i.name}${i.optional ? '?' : ''}`).join(', ');
const fieldText = ({ kind, required, default: fallback }: Description['fields'][number]): string =>
  required ? kind : `${kind} = ${JSON.stringify(fallback)}`;

function backendText(d: Description): string {
  return `${d.backends.join(', ')}${d.implementations.includes('library') ? '?' : ''}`;
}

function table(plugins: readonly Description[]): string {
  return formatTable(
    [
      { title: 'name' },
      { title: 'version' },
      { title: 'namespace' },
      { title: 'backends' },
      { title: 'inputs', maxWidth: 60 },
      { title: 'outputs', maxWidth: 60 },
      { title: 'fields', maxWidth: 80 },
    ],
    plugins.map((p) => [
      p.name,
      p.version,
      p.namespace,
      backendText(p),
      inputNames(p),
      p.outputs.join(', '),
      p.fields.map((f) => `${f.name}: ${fieldText(f)}`).join(', '),
    ]),
  );
}

function page(d: Description): string {
  return formatFields([
    ['plugin', pluginTitle(d)],
    ['from', d.from === 'stock' ? 'Tensorwright' : d.from],
    ...(d.implements === undefined ? [] : [['implements', d.implements] as const]),
    ['backends', backendText(d)],
    ...d.inputs.map((i): [string, string] => ['input', `${i.name}${i.optional ? ', may be omitted' : ''}`]),
    ...d.outputs.map((name): [string, string] => ['output', name]),
    ...d.fields.map((f): [string, string] => ['field', `${f.name}: ${fieldText(f)}`]),
    ...d.patterns.map((name): [string, string] => ['pattern', name]),
  ]);
}
