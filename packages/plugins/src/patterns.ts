/** A plugin's patterns, as the builder looks for them. */

import {
  type Attributes,
  type GraphBuilder,
  NetworkLayers,
  type PatternMatch,
  type SubgraphPattern,
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
