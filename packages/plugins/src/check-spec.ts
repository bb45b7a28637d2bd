/** Whether a plugin's specification makes sense, before anything is made of it. */

import { type Operator, operatorOf, type PluginKey, pluginOperatorName, TensorwrightError } from '@tensorwright/core';
import { checkCuda } from './check-cuda.js';
import { checkPattern } from './check-pattern.js';
import { pluginOfOperator } from './defined.js';
import { checkSchema, type FieldSchema } from './fields.js';
import { nameOf } from './names.js';
import type { Names, PluginSpec } from './plugin.js';
import { checkFunctions, checkMembers, failing, isListOfText } from './refusal.js';
import { refuseAliases } from './shared-memory.js';

type AnySpec = PluginSpec<Names, Names, FieldSchema>;

const members: Readonly<Record<keyof AnySpec, true>> = {
  name: true,
  version: true,
  namespace: true,
  fields: true,
  inputs: true,
  outputs: true,
  implements: true,
  aliases: true,
  infer: true,
  lower: true,
  patterns: true,
  cuda: true,
  cpu: true,
};

/** @throws ERR_INVALID_ARGUMENT naming what is wrong */
export function checkSpec(key: PluginKey, title: string, spec: AnySpec): void {
  const fail = failing(title);
  checkMembers(fail, 'it', spec, members);
  if (pluginOfOperator(pluginOperatorName(key))) fail('it is defined already');
  for (const part of ['inputs', 'outputs'] as const) {
    const names: unknown = spec[part];
    if (!isListOfText(names) || names.includes('')) return fail(`${part} must be a list of names`);
    const bare = names.map(nameOf);
    if (new Set(bare).size < bare.length) fail(`two of its ${part} have the same name`);
  }
  if (spec.outputs.length === 0) fail('it needs an output');
  for (const output of spec.outputs) if (output.endsWith('?')) fail(`output '${output}': every output is there`);
  checkFunctions(fail, '', spec, ['lower', 'cpu']);
  if (spec.lower) {
    if (spec.cpu) fail('layers run on the processor: give lower or cpu');
    if (spec.implements !== undefined) fail('what is lowered to layers implements no operator');
    if (spec.cuda && typeof spec.infer !== 'function') fail('with kernels, infer must be a function');
    if (!spec.cuda && spec.infer) fail('what is layers and nothing else has no infer: they tell');
  } else if (spec.implements !== undefined) checkImplementation(title, spec);
  else {
    if (typeof spec.infer !== 'function') fail('infer must be a function');
    if (!spec.cuda && !spec.cpu) fail('it has no implementation: give lower, cuda or cpu');
  }
  if (spec.cuda) checkCuda(failing(title), spec.cuda, spec);
  checkAliases(title, spec);
  const patterns: unknown = spec.patterns ?? [];
  if (!Array.isArray(patterns)) fail('patterns must be a list');
  spec.patterns?.forEach((pattern, i) => checkPattern(title, spec, pattern, i));
  checkSchema(title, spec.fields ?? {});
}

function checkImplementation(title: string, spec: AnySpec): void {
  const fail = failing(title);
  const { name, inputs, outputs = [''], attributes = {} } = builtInOperator(title, spec.implements!);
  if (spec.patterns) fail(`${name} is looked for itself, not by patterns`);
  if (spec.infer ?? spec.cpu) fail(`${name} has types and a function of its own: give cuda alone`);
  if (!spec.cuda) fail('it has no implementation: give cuda');
  if (inputs.at(-1)?.endsWith('…') !== true && spec.inputs.length !== inputs.length)
    fail(`${name} has the inputs ${inputs.join(', ')}`);
  if (spec.outputs.length !== outputs.length) fail(`${name} has ${String(outputs.length)} outputs`);
  for (const field of Object.keys(spec.fields ?? {}))
    if (!Object.hasOwn(attributes, field))
      fail(`${name} has no attribute '${field}'; known: ${Object.keys(attributes).join(', ') || 'none'}`);
}

function checkAliases(title: string, { aliases, inputs, outputs, cuda, lower, implements: builtIn }: AnySpec): void {
  if (!aliases) return;
  const fail = failing(title);
  if ((lower && !cuda) || builtIn !== undefined) fail('aliases are for plugins with an operator of their own');
  const reason = refuseAliases(aliases, inputs, outputs);
  if (reason !== undefined) fail(reason);
  for (const [output, input] of Object.entries(aliases))
    for (const format of cuda?.formats ?? [])
      if ((format[input!] ?? 'rows') !== (format[output] ?? 'rows'))
        fail(`aliases: '${output}' and '${input!}' have different layouts`);
  if (cuda?.epilogue === true) fail('what is changed in place takes no epilogue');
}

/** @throws ERR_INVALID_ARGUMENT when there is none of the name */
export function builtInOperator(title: string, name: string): Operator {
  try {
    const operator = operatorOf(name);
    if (operator.custom !== true) return operator;
  } catch (error) {
    if (!TensorwrightError.is(error)) throw error;
  }
  return failing(title)(`implements: there is no built-in operator '${name}'`);
}
