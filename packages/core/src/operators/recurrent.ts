/** lstm, gru, rnn: layers that step through x [T, B, I]. Weights as ONNX's; activations are named per direction. */

import { type Dim } from '../dim.js';
import { type DType } from '../dtype.js';
import { readNumbers, tensorFromNumbers } from '../elements.js';
import { type Attributes } from '../graph.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { type Tensor } from '../tensor.js';
import { tensorType, type Type } from '../type.js';
import { multiplyInto } from './multiply.js';
import { type Activation, recurrentActivations } from './recurrent-activations.js';

/** What differs between the three kinds of layer. */
interface Cell {
  readonly gates: number;
  readonly activations: readonly string[];
  /** Computes the new hidden state in place. */
  step(s: Step): void;
}

/** One step of one batch row. `x` holds Wx + Wb, `r` holds R·h (+ nothing); both gate after gate. */
interface Step {
  readonly size: number;
  readonly x: Float64Array;
  readonly r: Float64Array;
  readonly recurrentBias: Float64Array;
  readonly h: Float64Array;
  readonly cell: Float64Array;
  readonly peephole: Float64Array | undefined;
  readonly activations: readonly Activation[];
  readonly attributes: Attributes;
  /** R·vector of one gate, for gates that do not see h itself. */
  multiply(gate: number, vector: Float64Array): Float64Array;
}

const lstm: Cell = {
  gates: 4,
  activations: ['Sigmoid', 'Tanh', 'Tanh'],
  step({ size, x, r, recurrentBias, h, cell, peephole, activations, attributes }) {
    const [f, g, output] = activations as [Activation, Activation, Activation];
    const coupled = attributes['inputForget'] === 1;
    for (let i = 0; i < size; i++) {
      const gate = (k: number): number => x[k * size + i]! + r[k * size + i]! + recurrentBias[k * size + i]!;
      const old = cell[i]!;
      const input = f(gate(0) + (peephole ? peephole[i]! * old : 0));
      const forget = coupled ? 1 - input : f(gate(2) + (peephole ? peephole[2 * size + i]! * old : 0));
      const next = forget * old + input * g(gate(3));
      const out = f(gate(1) + (peephole ? peephole[size + i]! * next : 0));
      cell[i] = next;
      h[i] = out * output(next);
    }
  },
};

const gru: Cell = {
  gates: 3,
  activations: ['Sigmoid', 'Tanh'],
  step({ size, x, r, recurrentBias, h, activations, attributes, multiply }) {
    const [f, g] = activations as [Activation, Activation];
    const linearFirst = attributes['linearBeforeReset'] !== 0;
    const sum = (k: number, i: number): number => x[k * size + i]! + r[k * size + i]! + recurrentBias[k * size + i]!;
    const update = new Float64Array(size);
    const reset = new Float64Array(size);
    for (let i = 0; i < size; i++) {
      update[i] = f(sum(0, i));
      reset[i] = f(sum(1, i));
    }
    const hidden = linearFirst
      ? undefined
      : multiply(
          2,
          reset.map((v, i) => v * h[i]!),
        );
    for (let i = 0; i < size; i++) {
      const at = 2 * size + i;
      const recurrent = hidden ? hidden[i]! + recurrentBias[at]! : reset[i]! * (r[at]! + recurrentBias[at]!);
      h[i] = (1 - update[i]!) * g(x[at]! + recurrent) + update[i]! * h[i]!;
    }
  },
};

const rnn: Cell = {
  gates: 1,
  activations: ['Tanh'],
  step({ size, x, r, recurrentBias, h, activations }) {
    const [f] = activations as [Activation];
    for (let i = 0; i < size; i++) h[i] = f(x[i]! + r[i]! + recurrentBias[i]!);
  },
};

function directionsOf(attributes: Attributes): readonly ('forward' | 'reverse')[] {
  const direction = attributes['direction'] as string;
  return direction === 'bidirectional' ? ['forward', 'reverse'] : [direction as 'forward' | 'reverse'];
}

function inferRecurrent(c: InferContext, cell: Cell): Type[] {
  const { dtype } = c.tensor(0);
  const x = c.dims(0);
  const r = c.dims(2);
  if (x.length !== 3 || c.dims(1).length !== 3 || r.length !== 3) c.fail('x, w and r must have rank 3');
  if (!['forward', 'reverse', 'bidirectional'].includes(c.attributes['direction'] as string))
    c.fail("direction must be 'forward', 'reverse' or 'bidirectional'");
  const directions = directionsOf(c.attributes).length;
  c.agree(r[0]!, directions, 'directions of r and of the layer');
  const size = c.agree(r[2]!, c.attributes['hiddenSize'] as number, 'hidden sizes');
  c.agree(x[2]!, c.dims(1)[2]!, 'inputs of x and w');
  for (const [i, axis] of [
    [4, 0],
    [5, 1],
    [6, 1],
  ] as const)
    if (c.has(i) && c.tensor(i).dims) c.agree(x[1]!, c.dims(i)[axis] ?? 1, 'batches');
  recurrentActivations(c, cell.activations, directions);
  const state: Dim[] = [directions, x[1]!, size];
  const types = [tensorType(dtype, [x[0]!, directions, x[1]!, size]), tensorType(dtype, state)];
  return cell === lstm ? [...types, tensorType(dtype, state)] : types;
}

function evaluateRecurrent(c: EvaluateContext, cell: Cell): Tensor[] {
  const x = c.tensor(0);
  const [steps, batch, inputs] = x.dims as [number, number, number];
  const size = c.tensor(2).dims[2]!;
  const rows = cell.gates * size;
  const directions = directionsOf(c.attributes);
  const optional = (i: number): Float64Array | undefined => (c.has(i) ? readNumbers(c.tensor(i)) : undefined);
  const data = readNumbers(x);
  const w = readNumbers(c.tensor(1));
  const r = readNumbers(c.tensor(2));
  const bias = optional(3);
  const lengths = c.has(4) ? c.integers(4) : new Array<number>(batch).fill(steps);
  const peepholes = cell === lstm ? optional(7) : undefined;
  const states = directions.length * batch * size;
  const h = Float64Array.from(optional(5) ?? new Float64Array(states));
  const cells = Float64Array.from((cell === lstm ? optional(6) : undefined) ?? new Float64Array(states));
  const y = new Float64Array(steps * states);
  const activations = recurrentActivations(c, cell.activations, directions.length);
  const index = (n: number, stride: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i * stride);

  directions.forEach((direction, d) => {
    const zero = new Float64Array(rows);
    const inputBias = bias?.subarray(d * 2 * rows, d * 2 * rows + rows) ?? zero;
    const recurrentBias = bias?.subarray(d * 2 * rows + rows, (d + 1) * 2 * rows) ?? zero;
    const projected = new Float64Array(steps * batch * rows);
    for (let i = 0; i < steps * batch; i++) projected.set(inputBias, i * rows);
    multiplyInto(
      projected,
      { data, base: 0, outer: index(steps * batch, inputs), inner: index(inputs, 1) },
      { data: w, base: d * rows * inputs, outer: index(rows, inputs), inner: index(inputs, 1) },
    );
    const multiply = (from: number, count: number, vector: Float64Array): Float64Array => {
      const out = new Float64Array(count);
      const base = (d * rows + from) * size;
      for (let i = 0; i < count; i++)
        for (let k = 0; k < size; k++) out[i] = out[i]! + r[base + i * size + k]! * vector[k]!;
      return out;
    };
    for (let b = 0; b < batch; b++) {
      const at = (d * batch + b) * size;
      const hidden = h.subarray(at, at + size);
      const length = lengths[b]!;
      for (let s = 0; s < length; s++) {
        const t = direction === 'forward' ? s : length - 1 - s;
        const row = (t * batch + b) * rows;
        cell.step({
          size,
          x: projected.subarray(row, row + rows),
          r: multiply(0, rows, hidden),
          recurrentBias,
          h: hidden,
          cell: cells.subarray(at, at + size),
          peephole: peepholes?.subarray(d * 3 * size, (d + 1) * 3 * size),
          activations: activations[d]!,
          attributes: c.attributes,
          multiply: (gate, vector) => multiply(gate * size, size, vector),
        });
        y.set(hidden, ((t * directions.length + d) * batch + b) * size);
      }
    }
  });
  const dtype: DType = x.dtype;
  const stateDims = [directions.length, batch, size];
  const out = [
    tensorFromNumbers(dtype, y, [steps, directions.length, batch, size]),
    tensorFromNumbers(dtype, h, stateDims),
  ];
  return cell === lstm ? [...out, tensorFromNumbers(dtype, cells, stateDims)] : out;
}

const sharedAttributes = {
  hiddenSize: undefined,
  direction: 'forward',
  activations: undefined,
  activationAlpha: undefined,
  activationBeta: undefined,
  clip: undefined,
};
const sharedInputs = ['x', 'w', 'r', 'bias?', 'sequenceLengths?', 'initialH?'];

function recurrentOperator(
  name: string,
  cell: Cell,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Record<string, unknown>,
): Operator {
  return registerOperator({
    name,
    kind: 'opaque',
    inputs: [...sharedInputs, ...inputs],
    outputs: ['y', 'yH', ...outputs],
    attributes: { ...sharedAttributes, ...attributes },
    infer: (c) => inferRecurrent(c, cell),
    evaluate: (c) => evaluateRecurrent(c, cell),
    numerics: { safeIn16Bit: false },
  });
}

/** y [T, directions, B, H], yH and yC [directions, B, H]. Rows of W, R and the biases: i, o, f, c; z, r, h; i. */
export const recurrentOperators: readonly Operator[] = [
  recurrentOperator('lstm', lstm, ['initialC?', 'peephole?'], ['yC'], { inputForget: 0 }),
  recurrentOperator('gru', gru, [], [], { linearBeforeReset: 0 }),
  recurrentOperator('rnn', rnn, [], [], {}),
];
