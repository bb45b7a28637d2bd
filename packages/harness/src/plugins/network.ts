/** A problem as a network of one plugin, or of the standard layers that do the same, and its inputs. */

import {
  type DType,
  NetworkDefinition,
  type NetworkTensor,
  readNumbers,
  type Tensor,
  tensorFromNumbers,
} from '@tensorwright/core';
import type { FloatType, Operand, PluginCase, Problem } from './case.js';

type Layers = Readonly<Record<string, NetworkTensor>>;

export function networkOf(
  { plugin, standard }: PluginCase,
  given: Problem,
  float: FloatType,
  part: 'plugin' | 'standard' = 'plugin',
): NetworkDefinition {
  const problem = { ...given, fields: fieldsOf(given, float) };
  const network = new NetworkDefinition(problem.name);
  const inputs = Object.fromEntries(
    Object.entries(problem.inputs).map(([name, o]): [string, NetworkTensor] => [
      name,
      o.isConstant
        ? network.addConstant(tensorOf(o, float))
        : network.addInput(name, dtypeOf(o, float), o.declared ?? o.dims),
    ]),
  );
  let outputs: Layers;
  if (part === 'plugin') outputs = plugin.addTo(network, inputs as never, problem.fields as never);
  else if (typeof standard === 'function') outputs = standard(network, inputs, problem);
  else throw new Error(`no standard layers: ${standard}`);
  for (const [name, tensor] of Object.entries(outputs)) network.markOutput(tensor, name);
  return network;
}

/** What a run of the network is given. */
export function tensorsOf(problem: Problem, float: FloatType): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(problem.inputs)
      .filter(([, o]) => !o.isConstant)
      .map(([name, o]) => [name, tensorOf(o, float)]),
  );
}

/** The problem with its values rounded to the dtypes that they have in a run. */
export function rounded(problem: Problem, float: FloatType): Problem {
  const inputs = Object.entries(problem.inputs).map(([name, o]) => [
    name,
    { ...o, values: readNumbers(tensorOf(o, float)) },
  ]);
  return { ...problem, fields: fieldsOf(problem, float), inputs: Object.fromEntries(inputs) as Problem['inputs'] };
}

function fieldsOf({ fields, floatFields }: Problem, float: FloatType): Problem['fields'] {
  return { ...fields, ...floatFields?.[float] };
}

function dtypeOf({ dtype }: Operand, float: FloatType): DType {
  return dtype === 'float' ? float : dtype;
}

function tensorOf(o: Operand, float: FloatType): Tensor {
  return tensorFromNumbers(dtypeOf(o, float), o.values, o.dims);
}
