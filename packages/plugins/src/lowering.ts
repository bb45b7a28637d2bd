/** Plugins that are compositions of standard layers. */

import {
  type ConstantData,
  type EvaluateContext,
  evaluateGraph,
  GraphBuilder,
  inferFacts,
  type LoweredCall,
  NetworkLayers,
  NetworkTensor,
  type RuntimeValue,
  TensorwrightError,
  type Value,
} from '@tensorwright/core';
import { type FieldSchema, valuesOf } from './fields.js';
import { byName, nameOf } from './names.js';
import { pluginError, refusePromise } from './plugin-error.js';
import type { ByInput, LayerTensor, LoweringContext, Names, PluginSpec } from './plugin.js';

interface Parts<I extends Names, O extends Names, F extends FieldSchema> {
  readonly title: string;
  readonly fields: F;
  readonly spec: PluginSpec<I, O, F>;
}

/**
 * The outputs of a call.
 * @throws ERR_INVALID_MODEL when the call is wrong, ERR_PLUGIN when the plugin is
 */
export function lowerCall<I extends Names, O extends Names, F extends FieldSchema>(
  { title, fields, spec }: Parts<I, O, F>,
  { layers, inputs, attributes }: LoweredCall,
): readonly Value[] {
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_INVALID_MODEL', `plugin ${title}: ${message}`, { plugin: title });
  };
  if (inputs.length > spec.inputs.length)
    fail(`it takes at most ${String(spec.inputs.length)} inputs, received ${String(inputs.length)}`);
  const tensors = spec.inputs.map((declared, i) => operand(declared, inputs[i], fail));
  const given = (name: string): Value | undefined => inputs[spec.inputs.findIndex((n) => nameOf(n) === name)];
  const defaults = Object.fromEntries(Object.entries(fields).map(([name, f]) => [name, f.default]));
  const context: LoweringContext<I, F> = {
    inputs: byName<LayerTensor>(spec.inputs, tensors) as ByInput<I, LayerTensor>,
    fields: valuesOf(fields, { ...defaults, ...attributes }),
    elements: (name) => {
      const value = given(name);
      return value && inferFacts(value);
    },
    constant: (name) => {
      const node = given(name)?.node;
      return node?.op === 'constant' ? (node.attributes['data'] as ConstantData).tensor : undefined;
    },
    fail,
  };
  let results: Readonly<Record<string, unknown>> | null | undefined;
  try {
    results = refusePromise(title, 'lower', spec.lower!(context, layers));
  } catch (error) {
    throw named(error, title);
  }
  return spec.outputs.map((name) => {
    const result = results?.[name];
    if (result instanceof NetworkTensor) return result.value;
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${title}: lower gives no tensor for output '${name}'`, {
      plugin: title,
      output: name,
    });
  });
}

/** The layers, evaluated: where constants are folded, and in bodies whose backend has neither the kernels nor the layers. */
export function evaluateLayers<I extends Names, O extends Names, F extends FieldSchema>(
  parts: Parts<I, O, F>,
  c: EvaluateContext,
): readonly RuntimeValue[] {
  const builder = new GraphBuilder();
  const inputs = c.inputs.map((v, i) => (v === undefined ? undefined : builder.constant(c.tensor(i))));
  const layers = new NetworkLayers(builder, parts.title);
  return evaluateGraph({ inputs: [], outputs: lowerCall(parts, { layers, inputs, attributes: c.attributes }) }, []);
}

function operand(
  declared: string,
  value: Value | undefined,
  fail: (message: string) => never,
): LayerTensor | undefined {
  if (!value) return declared.endsWith('?') ? undefined : fail(`input '${declared}' is required`);
  if (value.type.kind !== 'tensor')
    return fail(`input '${nameOf(declared)}' must be a tensor, is a ${value.type.kind}`);
  if (!value.type.dims) return fail(`the rank of input '${nameOf(declared)}' must be known`);
  return new NetworkTensor(value) as LayerTensor;
}

/** What a layer refuses, and what goes wrong in the function itself. */
function named(error: unknown, title: string): TensorwrightError {
  if (!TensorwrightError.is(error)) return pluginError(title, 'lower threw', error);
  if (error.details?.['plugin'] === title) return error;
  const details = { ...error.details, plugin: title };
  return new TensorwrightError(error.code, `plugin ${title}: ${error.message}`, details, { cause: error });
}
