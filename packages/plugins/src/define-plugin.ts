/** Makes a plugin of its specification. */

import {
  type LoweredCall,
  type NetworkTensor,
  provideCudaKernels,
  registerOperator,
  TensorwrightError,
} from '@tensorwright/core';
import { addLayer } from './add-layer.js';
import { cudaKernelsOf } from './cuda-kernels.js';
import { rememberPlugin } from './defined.js';
import { checkField, type FieldSchema, type NoFields } from './fields.js';
import { lowerCall } from './lowering.js';
import { nameOf } from './names.js';
import { operatorOfPlugin } from './operator.js';
import { checkKey, type PluginKey, titleOf } from './plugin-key.js';
import type { ByOutput, LayerArguments, Names, Plugin, PluginSpec } from './plugin.js';

/**
 * Defines an operator of your own: what it is called, what it gives, and how it runs. It becomes a layer by `addTo`, or
 * by a node of an ONNX model once a registry has it (`PluginRegistry.global.register(plugin)`).
 * @throws ERR_INVALID_ARGUMENT naming what is wrong, or that a plugin of this name, version and namespace is defined already
 */
export function definePlugin<const I extends Names, const O extends Names, F extends FieldSchema = NoFields>(
  spec: PluginSpec<I, O, F>,
): Plugin<I, O, F> {
  const key: PluginKey = { name: spec.name, version: spec.version ?? '1', namespace: spec.namespace ?? '' };
  checkKey(key);
  const title = titleOf(key);
  checkSpec(title, spec);
  const fields = spec.fields ?? ({} as F);
  const operator = registerOperator(operatorOfPlugin({ key, title, fields, spec }));
  const { inputs, outputs, cuda } = spec;
  if (cuda) provideCudaKernels(operator.name, cudaKernelsOf({ title, inputs, outputs, fields, cuda }));
  const plugin: Plugin<I, O, F> = {
    key,
    title,
    fields,
    inputs,
    outputs,
    operator,
    ...(spec.lower && { lower: (call: LoweredCall) => lowerCall({ title, fields, spec }, call) }),
    addTo: (network, given, ...rest: LayerArguments<F>) =>
      addLayer(plugin, network, given, rest) as ByOutput<O, NetworkTensor>,
  };
  rememberPlugin(plugin);
  return plugin;
}

function checkSpec(title: string, spec: PluginSpec<Names, Names, FieldSchema>): void {
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', `plugin ${title}: ${message}`, { plugin: title });
  };
  for (const part of ['inputs', 'outputs'] as const) {
    const names = spec[part] as unknown;
    if (!Array.isArray(names) || !names.every((n) => typeof n === 'string' && n !== ''))
      return fail(`${part} must be a list of names`);
    const bare = (names as string[]).map(nameOf);
    if (new Set(bare).size < bare.length) fail(`two of its ${part} have the same name`);
  }
  if (spec.outputs.length === 0) fail('it needs an output');
  if (spec.lower !== undefined && typeof spec.lower !== 'function') fail('lower must be a function');
  if (spec.lower && (spec.infer ?? spec.cuda ?? spec.cpu))
    fail('what is lowered to layers has no infer, cuda and cpu of its own');
  if (!spec.lower && typeof spec.infer !== 'function') fail('infer must be a function');
  if (!spec.lower && !spec.cuda && !spec.cpu) fail('it has no implementation: give lower, cuda or cpu');
  if (spec.cpu !== undefined && typeof spec.cpu !== 'function') fail('cpu must be a function');
  if (spec.cuda && typeof spec.cuda.source !== 'string') fail('cuda.source must be CUDA C++ text');
  if (spec.cuda && typeof spec.cuda.launches !== 'function') fail('cuda.launches must be a function');
  for (const [name, field] of Object.entries(spec.fields ?? {}))
    if (field.default !== undefined) checkField(title, name, field.kind, field.default);
}
