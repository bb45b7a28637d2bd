/** A plugin's patterns, as the builder looks for them. */

import {
  type Attributes,
  type GraphBuilder,
  NetworkLayers,
  operatorOf,
  type PatternMatch,
  type SubgraphPattern,
  TensorwrightError,
  type Value,
} from '@tensorwright/core';
import { attributesOf } from './add-layer.js';
import type { FieldSchema } from './fields.js';
import { nameOf } from './names.js';
import { callOwn, pluginError, refusePromise } from './plugin-error.js';
import type { AnyPlugin, Pattern } from './plugin.js';

/** Of a plugin whose patterns were checked. */
export function patternsOf(plugin: AnyPlugin, patterns: readonly Pattern<FieldSchema>[]): readonly SubgraphPattern[] {
  return patterns.map((pattern, i) => {
    const name = pattern.name ?? `pattern ${String(i)}`;
    const tensors = new Set(pattern.nodes.flatMap((n) => [...n.inputs, ...n.outputs]));
    const named = (declared: string): string | undefined =>
      tensors.has(nameOf(declared)) ? nameOf(declared) : undefined;
    return {
      plugin: plugin.title,
      name,
      nodes: pattern.nodes,
      constants: pattern.constants ?? {},
      inputs: plugin.inputs.map(named),
      outputs: plugin.outputs.map(named),
      accepts: (match) => callOwn(plugin.title, `${name}: when`, () => pattern.when?.(match) ?? true),
      replace: (match, inputs, builder) => replace(plugin, name, pattern, match, inputs, builder),
    };
  });
}

function replace(
  plugin: AnyPlugin,
  name: string,
  { fields }: Pattern<FieldSchema>,
  match: PatternMatch,
  inputs: readonly (Value | undefined)[],
  builder: GraphBuilder,
): readonly Value[] {
  const attributes = attributesOfMatch(plugin, name, match, fields);
  if (!plugin.lower) return builder.node(plugin.operator.name, inputs, attributes);
  const layers = new NetworkLayers(builder, builder.origin[0] ?? plugin.title);
  return plugin.lower({ layers, inputs, attributes });
}

/** What is wrong with these is the pattern's fault, no reason to leave a subgraph as it is. */
function attributesOfMatch(
  { title, fields: schema }: AnyPlugin,
  name: string,
  match: PatternMatch,
  fields: Pattern<FieldSchema>['fields'],
): Attributes {
  try {
    return attributesOf(title, schema, refusePromise(title, `${name}: fields`, fields?.(match)) ?? {});
  } catch (error) {
    throw pluginError(title, `${name}: fields`, error);
  }
}

/** @throws ERR_INVALID_ARGUMENT naming what is wrong */
export function checkPattern(
  title: string,
  plugin: Pick<AnyPlugin, 'inputs' | 'outputs'>,
  pattern: Pattern<FieldSchema>,
  position: number,
): void {
  const name = pattern.name ?? `pattern ${String(position)}`;
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', `plugin ${title}, ${name}: ${message}`, { plugin: title });
  };
  if (pattern.nodes.length === 0) return fail('it has no nodes');
  const made = new Set<string>();
  const read = new Set<string>();
  for (const { op, inputs, outputs } of pattern.nodes) {
    checkOperator(op, fail);
    if (outputs.length === 0 || outputs[0] === '') fail(`node '${op}' has no output with a name`);
    for (const output of outputs) if (made.has(output)) fail(`two nodes give '${output}'`);
    for (const output of outputs) if (output !== '') made.add(output);
    for (const input of inputs) if (input !== '') read.add(input);
  }
  for (const declared of plugin.inputs) {
    const input = nameOf(declared);
    if (made.has(input)) fail(`'${input}' is an input of the plugin, and a node gives it`);
    if (!declared.endsWith('?') && !read.has(input)) fail(`no node reads the plugin's input '${input}'`);
  }
  if (!plugin.outputs.some((output) => made.has(output))) fail('no node gives an output of the plugin');
  for (const constant of Object.keys(pattern.constants ?? {}))
    if (!read.has(constant) || made.has(constant)) fail(`'${constant}' is no tensor that comes from outside`);
  for (const input of read)
    if (!made.has(input) && !plugin.inputs.some((i) => nameOf(i) === input) && pattern.constants?.[input] === undefined)
      fail(`'${input}' is neither an input of the plugin nor one of its constants`);
  if (!isConnected(pattern)) fail('its nodes are not connected');
}

function checkOperator(name: string, fail: (message: string) => never): void {
  try {
    operatorOf(name);
  } catch (error) {
    if (!TensorwrightError.is(error)) throw error;
    fail(`there is no operator '${name}'`);
  }
}

/** Whether every node is reached from the last one by way of tensors. */
function isConnected({ nodes }: Pattern<FieldSchema>): boolean {
  const tensorsOf = (i: number): string[] => [...nodes[i]!.inputs, ...nodes[i]!.outputs].filter((n) => n !== '');
  const reached = new Set([nodes.length - 1]);
  const tensors = new Set(tensorsOf(nodes.length - 1));
  for (let grown = true; grown;) {
    grown = false;
    for (const i of nodes.keys()) {
      if (reached.has(i) || !tensorsOf(i).some((t) => tensors.has(t))) continue;
      reached.add(i);
      tensorsOf(i).forEach((t) => tensors.add(t));
      grown = true;
    }
  }
  return reached.size === nodes.length;
}
