/** The operators of libraries' plugins. */

import {
  type InferContext,
  type Operator,
  pluginOperatorName,
  pluginTitle,
  registerOperator,
  TensorwrightError,
  type Type,
} from '@tensorwright/core';
import type { PluginRecord } from '@tensorwright/native';
import { plainText } from './plain-text.js';
import { checkKey } from './plugin-key.js';

export type Infer = (c: InferContext) => readonly Type[];

/** An operator of libraries: one for all that have the plugin, of which the one loaded last infers its types. */
export interface LibraryOperator {
  readonly operator: Operator;
  /** What the operator takes, as text: libraries of one plugin must agree. */
  readonly signature: string;
  readonly inferences: Infer[];
}

const operators = new Map<string, LibraryOperator>();

/** @throws ERR_PLUGIN when a library before has the plugin with other inputs, outputs, fields or aliases */
export function libraryOperator(record: PluginRecord): LibraryOperator {
  const { inputs, outputs, fields, aliases } = record;
  checkKey(record);
  const [name, title] = [pluginOperatorName(record), pluginTitle(record)];
  const signature = plainText([inputs, outputs, fields, aliases]);
  const known = operators.get(name);
  if (known && known.signature !== signature)
    throw new TensorwrightError(
      'ERR_PLUGIN',
      `plugin ${title} was loaded before with other inputs, outputs, fields or aliases: give it another version`,
      { plugin: title },
    );
  if (known) return known;
  const inferences: Infer[] = [];
  const operator = registerOperator({
    name,
    kind: 'opaque',
    custom: true,
    inputs,
    outputs,
    attributes: Object.fromEntries(fields.map((f) => [f.name, f.default])),
    infer: (c) => {
      const infer = inferences.at(-1);
      if (!infer)
        throw new TensorwrightError('ERR_PLUGIN', `the library of plugin ${title} is closed`, { plugin: title });
      return infer(c);
    },
  });
  const made = { operator, signature, inferences };
  operators.set(name, made);
  return made;
}
