/** Whether a plugin's specification makes sense, before anything is made of it. */

import { type Operator, operatorOf, type PluginKey, pluginOperatorName, TensorwrightError } from '@tensorwright/core';
import { pluginOfOperator } from './defined.js';
import { checkField, type FieldSchema } from './fields.js';
import { nameOf } from './names.js';
import { checkPattern } from './patterns.js';
import type { Names, PluginSpec } from './plugin.js';
import { refuseAliases } from './shared-memory.js';

type AnySpec = PluginSpec<Names, Names, FieldSchema>;
type AnyCuda = NonNullable<AnySpec['cuda']>;

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

const cudaMembers: Readonly<Record<keyof AnyCuda, true>> = {
  source: true,
  uses: true,
  dtypes: true,
  refuses: true,
  epilogue: true,
  formats: true,
  tactics: true,
  launches: true,
  count: true,
  workspaceBytes: true,
};

function failing(title: string): (message: string) => never {
  return (message) => {
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', `plugin ${title}: ${message}`, { plugin: title });
  };
}

/** @throws ERR_INVALID_ARGUMENT naming what is wrong */
export function checkSpec(key: PluginKey, title: string, spec: AnySpec): void {
  const fail = failing(title);
  checkMembers(title, 'it', spec, members);
  if (pluginOfOperator(pluginOperatorName(key))) fail('it is defined already');
  for (const part of ['inputs', 'outputs'] as const) {
    const names = spec[part] as unknown;
    if (!Array.isArray(names) || !names.every((n) => typeof n === 'string' && n !== ''))
      return fail(`${part} must be a list of names`);
    const bare = (names as string[]).map(nameOf);
    if (new Set(bare).size < bare.length) fail(`two of its ${part} have the same name`);
  }
  if (spec.outputs.length === 0) fail('it needs an output');
  if (spec.lower !== undefined && typeof spec.lower !== 'function') fail('lower must be a function');
  if (spec.cpu !== undefined && typeof spec.cpu !== 'function') fail('cpu must be a function');
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
  checkCuda(title, spec);
  checkAliases(title, spec);
  spec.patterns?.forEach((pattern, i) => checkPattern(title, spec, pattern, i));
  for (const [name, field] of Object.entries(spec.fields ?? {}))
    if (field.default !== undefined) checkField(title, name, field.kind, field.default);
}

function checkMembers(title: string, whose: string, given: object, known: Readonly<Record<string, true>>): void {
  for (const name of Object.keys(given))
    if (!Object.hasOwn(known, name))
      failing(title)(`${whose} has no '${name}'; known: ${Object.keys(known).join(', ')}`);
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

function checkCuda(title: string, { cuda, inputs, outputs }: AnySpec): void {
  if (!cuda) return;
  const fail = failing(title);
  checkMembers(title, 'cuda', cuda, cudaMembers);
  if (typeof cuda.source !== 'string') fail('cuda.source must be CUDA C++ text');
  const uses = cuda.uses as unknown;
  if (uses !== undefined && (!Array.isArray(uses) || !uses.every((name) => typeof name === 'string')))
    fail('cuda.uses must be names of files of the kernel library');
  if (typeof cuda.launches !== 'function') fail('cuda.launches must be a function');
  if (cuda.refuses !== undefined && typeof cuda.refuses !== 'function') fail('cuda.refuses must be a function');
  const operands = [...inputs, ...outputs].map(nameOf);
  for (const name of (cuda.formats ?? []).flatMap((format) => Object.keys(format)))
    if (!operands.includes(name)) fail(`cuda.formats: there is no input or output '${name}'`);
  if (cuda.epilogue === true && outputs.length > 1) fail('cuda.epilogue is for plugins with one output');
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
