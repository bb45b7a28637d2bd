/** Nodes that a plugin stands for: which one, and its fields out of the node's attributes. */

import {
  type AttributeValue,
  type CustomOperator,
  type FieldKind,
  type NetworkLayers,
  type OperatorSource,
  standardOperatorSource,
  type Value,
} from '@tensorwright/core';
import type { AttributeReader } from './attributes.js';
import type { ImportContext } from './import/importer.js';
import type { ParserSettings } from './options.js';

/** Attributes that choose the plugin, as TensorRT's exporters write them. */
const selectors = new Set(['plugin_version', 'plugin_namespace']);

export function operatorSourceOf(settings: ParserSettings): OperatorSource | undefined {
  return settings.plugins ?? standardOperatorSource();
}

export function findCustom(
  settings: ParserSettings,
  domain: string,
  name: string,
  attributes: AttributeReader,
): CustomOperator | undefined {
  const source = operatorSourceOf(settings);
  if (!source) return undefined;
  const version = attributes.has('plugin_version') ? attributes.string('plugin_version') : undefined;
  const namespace = attributes.has('plugin_namespace') ? attributes.string('plugin_namespace') : undefined;
  return source.find({
    domain,
    name,
    ...(version !== undefined && { version }),
    ...(namespace !== undefined && { namespace }),
  });
}

/** What to tell of a node that nothing stands for. */
export function hintFor(settings: ParserSettings, name: string): string {
  const similar = operatorSourceOf(settings)?.similar(name) ?? [];
  const close = similar.length > 0 ? ` Plugins of a similar name: ${similar.join(', ')}.` : '';
  return `Define the operator as a model-local function, or as a plugin.${close}`;
}

/** @param layers for plugins that are layers of the network */
export function importCustom(
  custom: CustomOperator,
  c: ImportContext,
  attributes: AttributeReader,
  layers: NetworkLayers,
): readonly (Value | undefined)[] {
  const { operator, title, fields } = custom;
  for (const name of attributes.entries().keys()) {
    if (Object.hasOwn(fields, name) || selectors.has(name)) continue;
    const known = Object.keys(fields);
    c.fail(
      `attribute '${name}' is no field of plugin ${title}; ${known.length > 0 ? `its fields: ${known.join(', ')}` : 'it has none'}`,
    );
  }
  const given: Record<string, AttributeValue | undefined> = {};
  for (const [name, kind] of Object.entries(fields)) {
    if (attributes.has(name))
      given[name] = kind === 'tensor' ? attributes.tensorOrFloats(name) : readField(c, name, kind);
    else if (operator.attributes?.[name] === undefined) c.fail(`plugin ${title} needs the attribute '${name}'`);
  }
  const outputs = operator.outputs?.length ?? 1;
  if (c.outputCount > outputs)
    c.fail(`plugin ${title} gives ${String(outputs)} outputs, the node has ${String(c.outputCount)}`);
  const inputs = Array.from({ length: c.inputCount }, (_, i) => c.optional(i));
  return custom.lower ? custom.lower({ layers, inputs, attributes: given }) : c.node(operator.name, inputs, given);
}

function readField(c: ImportContext, name: string, kind: Exclude<FieldKind, 'tensor'>): AttributeValue | undefined {
  switch (kind) {
    case 'int':
      return c.int(name, 0);
    case 'bool':
      return c.int(name, 0) !== 0;
    case 'float':
      return c.float(name, 0);
    case 'string':
      return c.string(name, '');
    case 'ints':
      return c.ints(name);
    case 'floats':
      return c.floats(name);
    case 'strings':
      return c.strings(name);
  }
}
