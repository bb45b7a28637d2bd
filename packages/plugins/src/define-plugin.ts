/** Makes a plugin of its specification. */

import {
  type LoweredCall,
  type NetworkTensor,
  type OperatorKernels,
  type PluginKey,
  pluginTitle,
  provideCudaKernels,
  registerOperator,
  TensorwrightError,
} from '@tensorwright/core';
import { addLayer } from './add-layer.js';
import { builtInOperator, checkSpec } from './check-spec.js';
import { cudaKernelsOf } from './cuda-kernels.js';
import { rememberPlugin } from './defined.js';
import type { FieldSchema, NoFields } from './fields.js';
import { lowerCall } from './lowering.js';
import { operatorOfPlugin } from './operator.js';
import { patternsOf } from './patterns.js';
import { checkKey } from './plugin-key.js';
import type { ByOutput, LayerArguments, Names, Plugin, PluginSpec } from './plugin.js';
import { aliasPositions } from './shared-memory.js';

/**
 * Defines an operator of your own: what it is called, what it gives, and how it runs. It becomes a layer by `addTo`, or
 * by a node of an ONNX model once a registry has it (`PluginRegistry.global.register(plugin)`).
 * @throws ERR_INVALID_ARGUMENT naming what is wrong, or that a plugin of this name, version and namespace is defined already
 */
export function definePlugin<const I extends Names, const O extends Names, F extends FieldSchema = NoFields>(
  spec: PluginSpec<I, O, F>,
): Plugin<I, O, F> {
  if (typeof (spec as unknown) !== 'object' || (spec as unknown) === null)
    throw new TensorwrightError(
      'ERR_INVALID_ARGUMENT',
      `definePlugin: expected a specification, received ${typeof spec}`,
    );
  const key: PluginKey = { name: spec.name, version: spec.version ?? '1', namespace: spec.namespace ?? '' };
  checkKey(key);
  const title = pluginTitle(key);
  checkSpec(key, title, spec);
  const fields = spec.fields ?? ({} as F);
  const { inputs, outputs, cuda } = spec;
  const builtIn = spec.implements === undefined ? undefined : builtInOperator(title, spec.implements);
  const operator = builtIn ?? registerOperator(operatorOfPlugin({ key, title, fields, spec }));
  const aliases = spec.aliases && { aliases: aliasPositions(inputs, outputs, spec.aliases) };
  const kernels = cuda && cudaKernelsOf({ title, inputs, outputs, fields, cuda, ...aliases });
  if (kernels && !builtIn) provideCudaKernels(operator.name, kernels);
  const base: Omit<Plugin<I, O, F>, 'patterns' | 'addTo'> = {
    key,
    title,
    fields,
    inputs,
    outputs,
    operator,
    implementations: [
      ...(cuda ? (['cuda'] as const) : []),
      ...(spec.cpu ? (['cpu'] as const) : []),
      ...(spec.lower ? (['layers'] as const) : []),
    ],
    ...(kernels && builtIn && { offer: offering(operator.name, kernels) }),
    // With kernels it is an operator, which becomes layers where nobody runs these.
    ...(spec.lower && !cuda && { lower: (call: LoweredCall) => lowerCall({ title, fields, spec }, call) }),
  };
  const plugin: Plugin<I, O, F> = {
    ...base,
    ...(spec.patterns && { patterns: patternsOf(base, spec.patterns) }),
    addTo: (network, given, ...rest: LayerArguments<F>) =>
      addLayer(base, network, given, rest) as ByOutput<O, NetworkTensor>,
  };
  rememberPlugin(plugin);
  return plugin;
}

/** Offers the kernels as long as somebody holds the offer: several registries may. */
function offering(operator: string, kernels: OperatorKernels): () => () => void {
  const holders = new Set<symbol>();
  let withdraw: (() => void) | undefined;
  return () => {
    const holder = Symbol();
    holders.add(holder);
    withdraw ??= provideCudaKernels(operator, kernels);
    return () => {
      holders.delete(holder);
      if (holders.size > 0) return;
      withdraw?.();
      withdraw = undefined;
    };
  };
}
