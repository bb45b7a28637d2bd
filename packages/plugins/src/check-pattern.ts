/** Whether a plugin's pattern makes sense, before anything is looked for. */

import { operatorOf, type PatternNode, TensorwrightError } from '@tensorwright/core';
import type { FieldSchema } from './fields.js';
import { nameOf } from './names.js';
import type { AnyPlugin, Pattern } from './plugin.js';
import { checkFunctions, checkMembers, type Fail, failing, isListOfText } from './refusal.js';

const members: Readonly<Record<keyof Pattern<FieldSchema>, true>> = {
  name: true,
  nodes: true,
  constants: true,
  fields: true,
  when: true,
};

const nodeMembers: Readonly<Record<keyof PatternNode, true>> = {
  op: true,
  inputs: true,
  outputs: true,
  attributes: true,
};

/** @throws ERR_INVALID_ARGUMENT naming what is wrong */
export function checkPattern(
  title: string,
  plugin: Pick<AnyPlugin, 'inputs' | 'outputs'>,
  pattern: Pattern<FieldSchema>,
  position: number,
): void {
  const fail = failing(title, `, ${pattern.name ?? `pattern ${String(position)}`}`);
  checkMembers(fail, 'it', pattern, members);
  checkFunctions(fail, '', pattern, ['fields', 'when']);
  const nodes: unknown = pattern.nodes;
  if (!Array.isArray(nodes) || nodes.length === 0) return fail('it has no nodes');
  pattern.nodes.forEach((node) => {
    checkNode(node, fail);
  });
  const made = new Set<string>();
  const read = new Set<string>();
  for (const { op, inputs, outputs } of pattern.nodes) {
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

function checkNode(node: PatternNode, fail: Fail): void {
  checkOperator(node.op, fail);
  const whose = `node '${node.op}'`;
  checkMembers(fail, whose, node, nodeMembers);
  for (const part of ['inputs', 'outputs'] as const)
    if (!isListOfText(node[part])) fail(`${whose}: ${part} must be a list of names`);
}

function checkOperator(name: string, fail: Fail): void {
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
