/** Patterns of libraries' plugins: what the library says of them, as `definePlugin` takes it. */

import { type Attributes, type PatternMatch, pluginTitle, TensorwrightError } from '@tensorwright/core';
import type { PluginAnswer, PluginLibraryHandle, PluginMatch, PluginRecord } from '@tensorwright/native';
import type { FieldSchema } from './fields.js';
import type { Pattern } from './plugin.js';

type Plain = PluginMatch['attributes'][string][string];

/** @param plugin the position of the record in its library */
export function patternsOfLibrary(
  handle: PluginLibraryHandle,
  record: PluginRecord,
  plugin: number,
): readonly Pattern<FieldSchema>[] {
  const title = pluginTitle(record);
  return record.patterns.map(({ name, nodes, constants, asks }, position): Pattern<FieldSchema> => {
    const answers = new WeakMap<PatternMatch, PluginAnswer>();
    const ask = (match: PatternMatch): PluginAnswer => {
      let answer = answers.get(match);
      if (!answer) answers.set(match, (answer = named(title, () => handle.match(plugin, position, plainMatch(match)))));
      return answer;
    };
    return {
      ...(name !== undefined && { name }),
      nodes,
      constants: constants as NonNullable<Pattern<FieldSchema>['constants']>,
      // What is registered outlives its library, whose plugin stands for nothing any more.
      when: (match) => !handle.closed && (!asks || ask(match).counts),
      ...(asks && { fields: (match: PatternMatch) => ask(match).fields }),
    };
  });
}

/** What the library says names the plugin already. */
function named<T>(title: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!TensorwrightError.is(error)) throw error;
    throw new TensorwrightError(error.code, error.message, { ...error.details, plugin: title }, { cause: error });
  }
}

function plainMatch({ tensors, constants, attributes }: PatternMatch): PluginMatch {
  return {
    tensors: Object.fromEntries(
      Object.entries(tensors).map(([name, { dtype, dims }]) => {
        const data = constants[name]?.data;
        const extents = dims?.map((d) => (typeof d === 'number' ? d : null)) ?? null;
        return [name, { dtype, dims: extents, ...(ArrayBuffer.isView(data) && { data }) }];
      }),
    ),
    attributes: Object.fromEntries(Object.entries(attributes).map(([node, all]) => [node, plainAttributes(all)])),
  };
}

/** Those that the C interface has values for. */
function plainAttributes(attributes: Attributes): Record<string, Plain> {
  return Object.fromEntries(Object.entries(attributes).filter((entry): entry is [string, Plain] => isPlain(entry[1])));
}

function isPlain(value: unknown): boolean {
  const isNumbers = (v: unknown): boolean => typeof v === 'number' || typeof v === 'boolean';
  const isText = (v: unknown): boolean => typeof v === 'string';
  return isNumbers(value) || isText(value) || (Array.isArray(value) && (value.every(isNumbers) || value.every(isText)));
}

/** @throws ERR_PLUGIN naming the pattern whose conditions are no numbers */
export function checkPatternConstants(title: string, { patterns }: PluginRecord): void {
  for (const { name, constants } of patterns)
    for (const [constant, value] of Object.entries(constants))
      if (value !== true && [value].flat().some((v) => typeof v !== 'number'))
        throw new TensorwrightError(
          'ERR_PLUGIN',
          `plugin ${title}${name === undefined ? '' : `, ${name}`}: constant '${constant}' must be a number or numbers`,
          { plugin: title },
        );
}
