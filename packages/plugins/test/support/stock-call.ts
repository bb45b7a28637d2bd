/** Calls of stock plugins in networks that hold nothing else. */

import { type DType, NetworkDefinition, type NetworkTensor } from '@tensorwright/core';

export interface Call {
  readonly plugin: { addTo(network: NetworkDefinition, inputs: never, ...fields: never[]): unknown };
  readonly inputs: Readonly<Record<string, readonly [dtype: DType, ...dims: (number | string)[]]>>;
  readonly fields?: object;
}

export function add({ plugin, inputs, fields = {} }: Call): unknown {
  const network = new NetworkDefinition();
  const tensors = Object.entries(inputs).map(([name, [dtype, ...dims]]): [string, NetworkTensor] => [
    name,
    network.addInput(name, dtype, dims),
  ]);
  return plugin.addTo(network, Object.fromEntries(tensors) as never, fields as never);
}

export function withInput(call: Call, name: string, ...type: Call['inputs'][string]): Call {
  return { ...call, inputs: { ...call.inputs, [name]: type } };
}

export function withFields(call: Call, fields: object): Call {
  return { ...call, fields: { ...call.fields, ...fields } };
}
