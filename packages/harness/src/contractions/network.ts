/** Problems as one network: as many groups side by side, whose first input is named after its problem. */

import {
  elementCount,
  type Graph,
  GraphBuilder,
  type Network,
  type Node,
  tensorFromNumbers,
  tensorType,
  type Value,
} from '@tensorwright/core';
import type { Activation, Problem } from './problem.js';

const dtype = 'float16';

export function networkOf(problems: readonly Problem[]): Network {
  const b = new GraphBuilder();
  const inputs: { name: string; value: Value }[] = [];
  const input = (name: string, dims: readonly number[]): Value => {
    const value = b.input(name, tensorType(dtype, dims));
    inputs.push({ name, value });
    return value;
  };
  const outputs = problems.map((problem, i) => ({
    name: `y${String(i)}`,
    value: resultOf(b, problem, (kind, dims) => input(`${kind}${String(i)}`, dims)),
  }));
  return {
    name: 'contractions',
    graph: { inputs: inputs.map((i) => i.value), outputs: outputs.map((o) => o.value) } satisfies Graph,
    builder: b,
    inputs,
    outputs,
    metadata: {},
    opsets: {},
  };
}

/** Which problem of the network a node computes; undefined for what is none. */
export function problemIndex(node: Node): number | undefined {
  for (let at: Node | undefined = node; at; at = at.inputs.find((v) => v && v.node.op !== 'constant')?.node) {
    const name = at.op === 'input' ? at.attributes['name'] : undefined;
    const found = typeof name === 'string' ? /^x(\d+)$/.exec(name)?.[1] : undefined;
    if (found !== undefined) return Number(found);
  }
  return undefined;
}

function resultOf(b: GraphBuilder, p: Problem, input: (kind: string, dims: readonly number[]) => Value): Value {
  const constant = (dims: readonly number[]): Value => b.constant(tensorFromNumbers(dtype, randomNumbers(dims), dims));
  const x = input('x', p.x);
  const w = p.constant ? constant(p.w) : input('w', p.w);
  const inConvolution = p.op === 'conv' && p.bias ? [constant([p.w[0]!])] : [];
  let y = b.op(p.op, [x, w, ...inConvolution], p.attributes);
  const dims = y.type.kind === 'tensor' ? (y.type.dims as readonly number[]) : [];
  if (p.op === 'dot' && p.bias) y = b.op('add', [y, constant([dims.at(-1)!])]);
  if (p.activation !== 'none' && p.residual && p.op === 'dot') y = activate(b, y, p.activation);
  if (p.residual) y = b.op('add', [y, input('r', dims)]);
  return p.activation !== 'none' && !(p.residual && p.op === 'dot') ? activate(b, y, p.activation) : y;
}

function activate(b: GraphBuilder, y: Value, activation: Activation): Value {
  const scalar = (x: number): Value => b.constant(tensorFromNumbers(dtype, Float64Array.of(x), []));
  switch (activation) {
    case 'relu':
      return b.op('relu', [y]);
    case 'clip':
      return b.op('min', [b.op('max', [y, scalar(0)]), scalar(6)]);
    case 'silu':
      return b.op('mul', [y, b.op('sigmoid', [y])]);
    case 'gelu':
      return b.op('gelu', [y]);
    case 'none':
      return y;
  }
}

/** Between -1 and 1: the power that a device draws, and with it its clock, hangs on the numbers. */
function randomNumbers(dims: readonly number[]): Float64Array {
  let state = 1;
  return Float64Array.from({ length: elementCount(dims) }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x40000000 - 1;
  });
}
