/** A convolution with what follows it as a network, and its operands. */

import {
  type DType,
  elementCount,
  type Graph,
  GraphBuilder,
  type Network,
  readNumbers,
  type Tensor,
  tensorFromNumbers,
  tensorType,
  type Value,
} from '@tensorwright/core';
import type { Problem } from './problems.js';

export interface Operands {
  readonly x: Tensor;
  readonly residual: Tensor;
  readonly w: Tensor;
  readonly bias: Tensor;
}

/** Between -1 and 1, rounded to the problem's type. */
export function operandsOf(p: Problem): Operands {
  const make = (seed: number, dims: readonly number[]): Tensor => {
    let state = seed * 7919 + 12345;
    const numbers = Float64Array.from({ length: elementCount(dims) }, () => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      return state / 0x40000000 - 1;
    });
    return tensorFromNumbers(p.dtype, numbers, dims);
  };
  return { x: make(1, p.x), residual: make(2, resultDims(p)), w: make(3, p.w), bias: make(4, [p.w[0]!]) };
}

/** The same numbers in another type. */
export function convert(tensor: Tensor, dtype: DType): Tensor {
  return tensorFromNumbers(dtype, readNumbers(tensor), tensor.dims);
}

/** Computed in `dtype`; its inputs are x and, where it has one, the residual. */
export function networkOf(p: Problem, operands: Operands, dtype: DType): Network {
  const b = new GraphBuilder();
  const inputs: { name: string; value: Value }[] = [];
  const input = (name: string, dims: readonly number[]): Value => {
    const value = b.input(name, tensorType(dtype, dims));
    inputs.push({ name, value });
    return value;
  };
  const constant = (tensor: Tensor): Value => b.constant(convert(tensor, dtype));
  const { strides, dilations, pads, group, tf32 } = p;
  const bias = p.epilogue === 'none' ? [] : [constant(operands.bias)];
  const attributes = { strides, dilations, pads, group, ...(tf32 && { tf32 }) };
  const y = b.op('conv', [input('x', p.x), constant(operands.w), ...bias], attributes);
  const result = follow(b, p, y, () => input('residual', resultDims(p)), dtype);
  return {
    name: 'convolution',
    graph: { inputs: inputs.map((i) => i.value), outputs: [result] } satisfies Graph,
    builder: b,
    inputs,
    outputs: [{ name: 'y', value: result }],
    metadata: {},
    opsets: {},
  };
}

function follow(b: GraphBuilder, p: Problem, y: Value, residual: () => Value, dtype: DType): Value {
  const scalar = (n: number): Value => b.scalar(n, dtype);
  switch (p.epilogue) {
    case 'none':
    case 'bias':
      return y;
    case 'relu':
    case 'hardSwish':
    case 'gelu':
    case 'sigmoid':
      return b.op(p.epilogue, [y]);
    case 'residual':
      return b.op('add', [y, residual()]);
    case 'residualRelu':
      return b.op('relu', [b.op('add', [y, residual()])]);
    case 'scale':
      return b.op('mul', [y, scalar(0.5)]);
    case 'clip':
      return b.op('min', [b.op('max', [y, scalar(0)]), scalar(6)]);
    case 'silu':
      return b.op('mul', [y, b.op('sigmoid', [y])]);
  }
}

function resultDims(p: Problem): number[] {
  const rank = p.strides.length;
  const pixels = p.strides.map((stride, i) => {
    const room = p.x[2 + i]! + p.pads[i]! + p.pads[rank + i]! - p.dilations[i]! * (p.w[2 + i]! - 1) - 1;
    return Math.floor(room / stride) + 1;
  });
  return [p.x[0]!, p.w[0]!, ...pixels];
}
