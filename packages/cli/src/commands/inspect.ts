/** `tensorwright inspect`: what a model or a plan consists of. */

import { basename } from 'node:path';
import type { Command } from 'commander';
import {
  type ConstantData,
  type ErrorCode,
  formatType,
  type Network,
  type Node,
  TensorwrightError,
  topologicalOrder,
} from '@tensorwright/core';
import type { EngineInspection, LayerInspection, PlanInspection, PluginInspection } from '@tensorwright/runtime';
import { registerOwnBackends } from '../models/build-plan.js';
import { kindOfFile, parseModel } from '../models/subject.js';
import { addCommonOptions } from '../options/build-options.js';
import { addCodeOption, addPluginOptions, type CodeFlags, type PluginFlags } from '../options/plugin-options.js';
import { countBy, formatBytes, formatCounts } from '../output/format.js';
import { writeJson } from '../output/json.js';
import { Reporter } from '../output/reporter.js';
import { formatFields, formatTable } from '../output/table.js';
import { describeDropped } from '../output/dropped.js';
import { describePattern } from '../output/pattern.js';
import { pluginHint } from '../plugins/plugin-hint.js';
import { withPlugins } from '../plugins/with-plugins.js';
import type { Session } from '../session.js';

interface InspectFlags extends PluginFlags, CodeFlags {
  readonly layers?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose: number;
}

export function define(command: Command, session: Session): void {
  command
    .argument('<model-or-plan>', 'ONNX model or plan')
    .option('--layers', "list the layers of a plan, or the network's nodes")
    .option('--json', 'print one JSON document');
  addCodeOption(addPluginOptions(command));
  addCommonOptions(command).action((path: string, flags: InspectFlags) =>
    withPlugins(flags, () => inspect(path, flags, session)),
  );
}

async function inspect(path: string, flags: InspectFlags, session: Session): Promise<void> {
  const reporter = new Reporter(session, flags);
  if ((await kindOfFile(path)) === 'plan') {
    const engine = await inspectPlan(path, flags, reporter);
    if (flags.json)
      writeJson(session, 'inspect', {
        kind: 'plan',
        file: path,
        ...engine,
        ...(!flags.layers && { layers: engine.layers.length }),
      });
    else session.stdout.write(describePlan(path, engine, flags.layers === true));
  } else {
    const network = await parseModel(path, reporter, session.signal);
    const description = describeNetwork(network);
    if (flags.json)
      writeJson(session, 'inspect', {
        kind: 'model',
        file: path,
        ...description,
        ...(!flags.layers && { nodes: description.nodes.length }),
      });
    else session.stdout.write(printNetwork(path, description, flags.layers === true));
  }
}

/** What this machine or process lacks: the plan itself may be fine. */
const lacking: ReadonlySet<ErrorCode> = new Set([
  'ERR_PLUGIN',
  'ERR_BACKEND_UNAVAILABLE',
  'ERR_NATIVE_LOAD',
  'ERR_DEVICE',
]);

interface InspectedPlan extends PlanInspection, Partial<Pick<EngineInspection, 'memory'>> {
  /** Why it cannot be loaded here; null when it can. */
  readonly problem: { readonly code: ErrorCode; readonly message: string } | null;
}

async function inspectPlan(path: string, flags: InspectFlags, reporter: Reporter): Promise<InspectedPlan> {
  const { Runtime } = await import('@tensorwright/runtime');
  await registerOwnBackends();
  try {
    await using engine = await Runtime.load(path, {
      logger: reporter.logger,
      allowCodeFromPlan: flags.allowCodeFromPlan === true,
    });
    return { ...engine.inspect(), problem: null };
  } catch (error) {
    if (!TensorwrightError.is(error) || !lacking.has(error.code)) throw error;
    const hint = pluginHint(error);
    reporter.warn(`the plan does not run here: ${error.message}${hint === undefined ? '' : ` (${hint})`}`);
    return { ...(await Runtime.inspect(path)), problem: { code: error.code, message: error.message } };
  }
}

function describePlan(path: string, e: InspectedPlan, layers: boolean): string {
  const {
    activationBytes,
    lowerBoundBytes,
    weightBytes,
    fallbacks,
    patterns = [],
    dropped = [],
    rounding = [],
  } = e.report;
  const fields: (readonly [string, string])[] = [
    ['plan', `${basename(path)}${e.name === '' ? '' : ` (${e.name})`}, written by ${e.producer}`],
    ['layers', `${e.layers.length}: ${formatCounts(countBy(e.layers, (l) => l.backend))}`],
    ['kinds', formatCounts(countBy(e.layers, (l) => l.kind))],
    ['tactics', formatCounts(countBy(e.layers, (l) => l.tactic))],
    ['results', formatCounts(countBy(e.layers, (l) => resultType(l).split('[')[0]!))],
    ...e.inputs.map((i): [string, string] => [
      'input',
      `${i.name} ${i.type}${i.profiles.map((p) => `  ${p.min.join('x')} … ${p.opt.join('x')} … ${p.max.join('x')}`).join('')}`,
    ]),
    ...e.outputs.map((o): [string, string] => ['output', `${o.name} ${o.type}`]),
    [
      'memory',
      `weights ${formatBytes(weightBytes)}, activations ${formatBytes(activationBytes)} (at least ${formatBytes(lowerBoundBytes)})`,
    ],
    ...e.plugins.map((p): [string, string] => ['plugin', describePlugin(p)]),
    ...e.libraries.map((l): [string, string] => [
      'library',
      `${l.name}, ${l.platform}, ${formatBytes(l.bytes)}: ${l.plugins.join(', ')}`,
    ]),
    ...fallbacks.map((f): [string, string] => [
      'fallback',
      `${f.node} (${f.operator}) not on ${f.backend}: ${f.reason}`,
    ]),
    ...(rounding.length > 0 ? [['rounding', rounding.join(', ')] as const] : []),
    ...patterns.map((p): [string, string] => ['pattern', describePattern(p)]),
    ...dropped.map((d): [string, string] => ['dropped', describeDropped(d)]),
  ];
  return formatFields(fields) + (layers ? `\n${layerTable(e.layers)}` : '');
}

const codeOf: Readonly<Record<PluginInspection['code'], string>> = {
  library: 'needs its library',
  function: 'needs its module',
  kernels: 'kernels in the plan',
};

function describePlugin({ plugin, code, backend, layers, carriedBy }: PluginInspection): string {
  const has = carriedBy === undefined ? codeOf[code] : `carried in ${carriedBy}`;
  return `${plugin}, ${layers} ${layers === 1 ? 'layer' : 'layers'} on ${backend}: ${has}`;
}

function resultType(layer: LayerInspection): string {
  return layer.outputs[0]?.type ?? 'none';
}

function layerTable(layers: readonly LayerInspection[]): string {
  return formatTable(
    [
      { title: '#', align: 'right' },
      { title: 'layer', maxWidth: 40 },
      { title: 'kind' },
      { title: 'tactic' },
      { title: 'result' },
      { title: 'storage' },
      { title: 'bytes', align: 'right' },
      { title: 'weights', align: 'right' },
      { title: 'µs', align: 'right' },
      { title: 'nodes', maxWidth: 60 },
    ],
    layers.map((l) => [
      String(l.index),
      l.name,
      l.kind,
      `${l.backend} ${l.tactic}`,
      resultType(l),
      l.outputs[0]?.storage ?? '',
      l.outputs[0]?.bytes === undefined ? '?' : formatBytes(l.outputs[0].bytes),
      l.weightBytes === 0 ? '' : formatBytes(l.weightBytes),
      l.builtMicroseconds?.toFixed(1) ?? '',
      l.origins.join(', '),
    ]),
  );
}

interface NetworkDescription {
  readonly name: string;
  readonly opsets: Network['opsets'];
  readonly metadata: Network['metadata'];
  readonly inputs: readonly { readonly name: string; readonly type: string }[];
  readonly outputs: readonly { readonly name: string; readonly type: string }[];
  readonly operators: Readonly<Record<string, number>>;
  readonly constants: number;
  readonly constantBytes: number;
  readonly nodes: readonly NodeDescription[];
}

interface NodeDescription {
  readonly operator: string;
  /** Nodes of the model that it comes from. */
  readonly origins: readonly string[];
  readonly inputs: readonly (string | null)[];
  readonly outputs: readonly string[];
}

function describeNetwork(network: Network): NetworkDescription {
  const order = topologicalOrder(network.graph);
  const constants = order.filter((n) => n.op === 'constant');
  const nodes = order.filter((n) => n.op !== 'constant' && n.op !== 'input');
  return {
    name: network.name,
    opsets: network.opsets,
    metadata: network.metadata,
    inputs: network.inputs.map(({ name, value }) => ({ name, type: formatType(value.type) })),
    outputs: network.outputs.map(({ name, value }) => ({ name, type: formatType(value.type) })),
    operators: countBy(nodes, (n) => n.op),
    constants: constants.length,
    constantBytes: constants.reduce((sum, n) => sum + bytesOf(n), 0),
    nodes: nodes.map((n) => ({
      operator: n.op,
      origins: network.builder.provenance.of(n),
      inputs: n.inputs.map((v) => (v ? formatType(v.type) : null)),
      outputs: n.outputs.map((v) => formatType(v.type)),
    })),
  };
}

function bytesOf(constant: Node): number {
  const { tensor } = constant.attributes['data'] as ConstantData;
  return tensor.dtype === 'string' ? 0 : tensor.bytes.byteLength;
}

function printNetwork(path: string, d: NetworkDescription, layers: boolean): string {
  const fields: [string, string][] = [
    ['model', `${basename(path)}${d.name === '' ? '' : ` (${d.name})`}`],
    [
      'opsets',
      Object.entries(d.opsets)
        .map(([domain, version]) => `${domain} ${version}`)
        .join(', '),
    ],
    ...Object.entries(d.metadata).map(([name, value]): [string, string] => [name, value.split('\n')[0]!]),
    ...d.inputs.map((i): [string, string] => ['input', `${i.name} ${i.type}`]),
    ...d.outputs.map((o): [string, string] => ['output', `${o.name} ${o.type}`]),
    ['nodes', `${d.nodes.length}: ${formatCounts(d.operators)}`],
    ['constants', `${d.constants}, ${formatBytes(d.constantBytes)}`],
  ];
  if (!layers) return formatFields(fields);
  const table = formatTable(
    [{ title: '#', align: 'right' }, { title: 'operator' }, { title: 'result' }, { title: 'nodes', maxWidth: 80 }],
    d.nodes.map((n, i) => [String(i), n.operator, n.outputs.join(', '), n.origins.join(', ')]),
  );
  return `${formatFields(fields)}\n${table}`;
}
