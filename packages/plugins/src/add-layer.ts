/** A plugin as a layer of a network made in code: its operands and fields, checked by name. */

import {
  type Attributes,
  ConstantData,
  type LayerOptions,
  type NetworkLayers,
  NetworkTensor,
  Tensor,
  TensorwrightError,
} from '@tensorwright/core';
import { checkFields, type FieldSchema } from './fields.js';
import { byName, nameOf } from './names.js';
import type { AnyPlugin, Names } from './plugin.js';

type Given = Readonly<Record<string, NetworkTensor | undefined>>;

/** @param rest the fields and the layer's options, both of which may be left out */
export function addLayer(
  plugin: AnyPlugin,
  network: NetworkLayers,
  given: Given,
  [values, options]: readonly [fields?: Readonly<Record<string, unknown>>, options?: LayerOptions],
): Record<string, NetworkTensor> {
  const { title, inputs, fields, outputs, operator } = plugin;
  if (typeof (network as Partial<NetworkLayers> | undefined)?.addOperator !== 'function' || !isObject(given))
    throw new TensorwrightError(
      'ERR_INVALID_ARGUMENT',
      `plugin ${title}: addTo takes a network and its inputs by name: addTo(network, { ${inputs.map(nameOf).join(', ')} })`,
      { plugin: title },
    );
  const operands = operandsOf(title, inputs, given);
  const attributes = attributesOf(title, fields, values ?? {});
  const tensors = plugin.lower
    ? addLowered(plugin, network, operands, attributes, options)
    : network.addOperator(operator.name, operands, attributes, options);
  return byName(outputs, tensors) as Record<string, NetworkTensor>;
}

function addLowered(
  { lower, operator }: AnyPlugin,
  network: NetworkLayers,
  operands: readonly (NetworkTensor | undefined)[],
  attributes: Attributes,
  options: LayerOptions | undefined,
): NetworkTensor[] {
  return network.addComposition(
    operator.name,
    (layers, name) => {
      try {
        return lower!({ layers, inputs: operands.map((t) => t?.value), attributes }).map((v) => new NetworkTensor(v));
      } catch (error) {
        if (!TensorwrightError.is(error) || error.code !== 'ERR_INVALID_MODEL') throw error;
        const details = { ...error.details, layer: name };
        throw new TensorwrightError('ERR_INVALID_ARGUMENT', `${name}: ${error.message}`, details, { cause: error });
      }
    },
    options,
  );
}

function operandsOf(title: string, inputs: Names, given: Given): (NetworkTensor | undefined)[] {
  const names = inputs.map(nameOf);
  const fail = (message: string, input: string): never => {
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', `plugin ${title}: ${message}`, { plugin: title, input });
  };
  for (const name of Object.keys(given))
    if (!names.includes(name)) fail(`there is no input '${name}'; its inputs: ${names.join(', ')}`, name);
  return inputs.map((declared) => {
    const tensor = given[nameOf(declared)];
    if (!tensor && !declared.endsWith('?')) fail(`input '${declared}' is missing`, declared);
    if (tensor && !(tensor instanceof NetworkTensor))
      fail(`input '${declared}' must be a tensor of a network`, declared);
    return tensor;
  });
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/**
 * Fields as a node's attributes: lists of the node's own, and nothing for those that keep their default.
 * @throws ERR_INVALID_ARGUMENT naming the field
 */
export function attributesOf(
  title: string,
  schema: FieldSchema,
  given: Readonly<Record<string, unknown>>,
): Record<string, never> {
  checkFields(title, schema, given);
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, attributeOf(value)])) as Record<string, never>;
}

function attributeOf(value: unknown): unknown {
  if (value instanceof Tensor) return ConstantData.of(value as Tensor);
  return Array.isArray(value) ? [...(value as unknown[])] : value;
}
