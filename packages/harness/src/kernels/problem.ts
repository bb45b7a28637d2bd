/** A random network of a few layers, and what it is fed. */

import {
  type DType,
  type InputDim,
  NetworkDefinition,
  type NetworkTensor,
  readNumbers,
  type Tensor,
  tensorFromNumbers,
} from '@tensorwright/core';
import type { FloatType, Operand } from '../plugins/case.js';
import type { Random } from '../plugins/random.js';

export interface Problem {
  readonly name: string;
  readonly operands: Readonly<Record<string, Operand>>;
  readonly layers: (network: NetworkDefinition, operands: Readonly<Record<string, NetworkTensor>>) => NetworkTensor;
}

/** Problems of one kind of kernel, odd extents preferred. */
export interface Family {
  readonly name: string;
  problem(random: Random): Problem;
}

/** @param isDynamic whether the extents of the inputs are known to the run alone; constants keep theirs */
export function networkOf(
  { name, operands, layers }: Problem,
  float: FloatType,
  isDynamic: boolean,
): NetworkDefinition {
  const network = new NetworkDefinition(name);
  const tensors = Object.entries(operands).map(([key, o]): [string, NetworkTensor] => [
    key,
    o.isConstant
      ? network.addConstant(tensorOf(o, float))
      : network.addInput(key, dtypeOf(o, float), declared(o, isDynamic)),
  ]);
  network.markOutput(layers(network, Object.fromEntries(tensors)), 'y');
  return network;
}

function declared(o: Operand, isDynamic: boolean): readonly InputDim[] {
  return isDynamic ? (o.declared ?? o.dims) : o.dims;
}

export function inputsOf({ operands }: Problem, float: FloatType): Record<string, Tensor> {
  const given = Object.entries(operands).filter(([, o]) => !o.isConstant);
  return Object.fromEntries(given.map(([key, o]) => [key, tensorOf(o, float)]));
}

/** The values that `float` holds, constants included. */
export function rounded(problem: Problem, float: FloatType): Problem {
  const operands = Object.entries(problem.operands).map(([key, o]) => [
    key,
    { ...o, values: readNumbers(tensorOf(o, float)) },
  ]);
  return { ...problem, operands: Object.fromEntries(operands) as Problem['operands'] };
}

/** Its first extent is a batch: where extents are dynamic, it is known to the run alone. */
export function batched(operand: Operand): Operand {
  return { ...operand, declared: ['n', ...operand.dims.slice(1)] };
}

export function constant(operand: Operand): Operand {
  return { ...operand, isConstant: true };
}

function dtypeOf({ dtype }: Operand, float: FloatType): DType {
  return dtype === 'float' ? float : dtype;
}

function tensorOf(o: Operand, float: FloatType): Tensor {
  return tensorFromNumbers(dtypeOf(o, float), o.values, o.dims);
}
