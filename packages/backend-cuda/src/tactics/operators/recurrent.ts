/** lstm, gru, rnn: a kernel multiplies the inputs of all steps, in a second one a block steps through each sequence. */

import {
  addDims,
  ceilDivDims,
  type Dim,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  mulDims,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { isAligned } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, type TextOperand } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { sumType } from './pool.js';
import { activationFunctions } from './recurrent-activation.js';

/** What differs between the kinds of layer. Rows of weights and biases: i, o, f, c; z, r, h; i. */
interface Cell {
  readonly gates: number;
  readonly activations: readonly string[];
}

const cells: Readonly<Record<string, Cell>> = {
  lstm: { gates: 4, activations: ['Sigmoid', 'Tanh', 'Tanh'] },
  gru: { gates: 3, activations: ['Sigmoid', 'Tanh'] },
  rnn: { gates: 1, activations: ['Tanh'] },
};

const threads = 512;
const largestShared = 96 * 1024;

export const recurrent: Tactic = operatorTactic({
  name: 'recurrent',
  operators: Object.keys(cells),
  refuses: (group) => {
    const { op, attributes } = group.anchor!;
    const size = dimsOf(group, 2)[2]!;
    if (typeof size !== 'number') return 'the hidden size is not known at build time';
    if (sharedBytes(op, size) > largestShared) return `a hidden size of ${String(size)} exceeds shared memory`;
    const functions = activationFunctions(attributes, cells[op]!.activations, directionsOf(group));
    return functions === undefined ? 'an activation is unknown' : undefined;
  },
  emit: emitRecurrent,
});

function dimsOf(group: GroupView, position: number): readonly Dim[] {
  const { type } = group.anchor!.inputs[position]!;
  return type.kind === 'tensor' ? type.dims! : [];
}

function directionsOf(group: GroupView): number {
  return group.anchor!.attributes['direction'] === 'bidirectional' ? 2 : 1;
}

/** The hidden state, the cell or the masked state, and a sum for each row of R. */
function sharedBytes(op: string, size: number): number {
  return (2 + cells[op]!.gates) * size * 8;
}

interface Layer {
  readonly op: string;
  readonly args: Arguments;
  readonly operands: AnchorOperands;
  readonly x: TextOperand;
  readonly w: TextOperand;
  readonly r: TextOperand;
  readonly size: number;
  readonly rows: number;
  /** Products of the inputs: [directions, T · B, rows]. */
  readonly gates: string;
  /** T · B. */
  readonly vectors: Dim;
}

function emitRecurrent(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { op, attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, w, r] = [operands.input(0), operands.input(1), operands.input(2)];
  const size = dimsOf(group, 2)[2] as number;
  const rows = cells[op]!.gates * size;
  const directions = directionsOf(group);
  const real = sumType(x.dtype);
  const vectors = mulDims(x.view.dims[0]!, x.view.dims[1]!);
  const layer: Layer = { op, args, operands, x, w, r, size, rows, gates: args.workspace(0, real), vectors };
  const text = `using Real = ${real};
${activationFunctions(attributes, cells[op]!.activations, directions)!}
${projectKernel(layer)}
${stepKernel(layer, group)}`;
  return launchStep({
    uses: ['recurrent'],
    text,
    arguments: args,
    launches: [
      {
        function: 'project',
        grid: [ceilDivDims(vectors, 64), ceilDivDims(rows, 64), directions],
        block: [256, 1, 1],
      },
      {
        function: 'steps',
        grid: [x.view.dims[1]!, directions, 1],
        block: [threads, 1, 1],
        sharedBytes: sharedBytes(op, size),
      },
    ],
    workspaceBytes: addDims(mulDims(vectors, directions * rows * (real === 'f64' ? 8 : 4)), 256),
    outputs: group.outputs.length,
  });
}

function projectKernel({ args, operands, x, w, rows, gates, vectors }: Layer): string {
  const batch = args.dim(x.view.dims[1]!);
  const bias = operands.has(3) ? `convert<Real>(${operands.input(3).at(['direction', 'column'])})` : 'Real(0)';
  return `
extern "C" __global__ void __launch_bounds__(256) project(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const i32 direction = blockIdx.z;
  project_tile<Real>(
      ${args.dim(vectors)}, ${String(rows)}, ${args.dim(x.view.dims[2]!)},
      [&](i32 row, i32 k) { return convert<Real>(${x.at([`(row / ${batch})`, `(row % ${batch})`, 'k'])}); },
      [&](i32 column, i32 k) { return convert<Real>(${w.at(['direction', 'column', 'k'])}); },
      [&](i32 row, i32 column, Real sum) {
        ${gates}[(direction * i64(${args.dim(vectors)}) + row) * ${String(rows)} + column] = sum + ${bias};
      });
}
`;
}

function stepKernel(layer: Layer, group: GroupView): string {
  const { op, args, operands, x, r, size, rows, gates, vectors } = layer;
  const direction = group.anchor!.attributes['direction'] as string;
  const h = String(size);
  const steps = args.dim(x.view.dims[0]!);
  const batch = args.dim(x.view.dims[1]!);
  const state = (position: number): string =>
    operands.has(position) ? `convert<Real>(${operands.input(position).at(['direction', 'b', 'i'])})` : 'Real(0)';
  const lengths = operands.has(4) ? `min(i32(${operands.input(4).at(['b'])}), ${steps})` : steps;
  const reverse = direction === 'forward' ? 'false' : direction === 'reverse' ? 'true' : 'direction == 1';
  const y = operands.output(0);
  const hidden = operands.output(1);
  const lstm = op === 'lstm';
  const width = String(rowVector(layer));
  return `
extern "C" __global__ void __launch_bounds__(${String(threads)}) steps(const __grid_constant__ Arguments a) {
  TW_SHARED_BYTES(shared);
  Real* const h = reinterpret_cast<Real*>(shared);
  [[maybe_unused]] Real* const cell = h + ${h};
  Real* const sums = cell + ${h};
  wait_for_predecessor();
  let_successor_start();
  const i32 b = blockIdx.x, direction = blockIdx.y, length = ${lengths};
  for (i32 i = threadIdx.x; i < ${h}; i += ${String(threads)}) {
    h[i] = ${state(5)};
    ${lstm ? `cell[i] = ${state(6)};` : ''}
  }
  const auto load = [&](i32 row, i32 k) { return load_vec<${width}>(&${r.at(['direction', 'row', 'k'])}); };
  for (i32 s = 0; s < length; ++s) {
    const i32 t = ${reverse} ? length - 1 - s : s;
    const Real* const x = ${gates} + ((direction * i64(${args.dim(vectors)}) + i64(t) * ${batch} + b) * ${String(rows)});
    __syncthreads();
    multiply_rows<${String(threads)}, ${width}>(${String(earlyRows(layer, group))}, ${h}, h, sums, load);
    __syncthreads();
${cellText(layer, group)}
      h[i] = next;
      ${y.at(['t', 'direction', 'b', 'i'])} = convert<${y.type}>(next);
    }
  }
  // What follows the end of a sequence is zero.
  for (i32 t = length; t < ${steps}; ++t)
    for (i32 i = threadIdx.x; i < ${h}; i += ${String(threads)}) ${y.at(['t', 'direction', 'b', 'i'])} = convert<${y.type}>(0);
  for (i32 i = threadIdx.x; i < ${h}; i += ${String(threads)}) {
    ${hidden.at(['direction', 'b', 'i'])} = convert<${hidden.type}>(h[i]);
    ${lstm ? `${operands.output(2).at(['direction', 'b', 'i'])} = convert<${y.type}>(cell[i]);` : ''}
  }
}
`;
}

/** Elements of a row of R that a thread loads at once: 16 bytes where rows are aligned. */
function rowVector({ r, size }: Layer): number {
  let width = 128 / dtypeInfo(r.dtype).bits;
  const fits = (): boolean => r.view.strides[2] === 1 && size % width === 0 && isAligned(r.view, 2, width);
  while (width > 1 && !fits()) width /= 2;
  return width;
}

/** A gru that resets before its last product needs the other gates first. */
function resetsFirst({ op }: Layer, group: GroupView): boolean {
  return op === 'gru' && group.anchor!.attributes['linearBeforeReset'] === 0;
}

function earlyRows(layer: Layer, group: GroupView): number {
  return resetsFirst(layer, group) ? 2 * layer.size : layer.rows;
}

/** From the sums of a step to `next`, the new hidden state of unit i, in an open loop over the block's units. */
function cellText(layer: Layer, group: GroupView): string {
  const { op, operands, size } = layer;
  const at = (gate: number): string => `${gate === 0 ? '' : `${String(gate * size)} + `}i`;
  const bias = (gate: number): string =>
    operands.has(3)
      ? ` + convert<Real>(${operands.input(3).at(['direction', `(${String(layer.rows + gate * size)} + i)`])})`
      : '';
  const sum = (gate: number): string => `x[${at(gate)}] + sums[${at(gate)}]${bias(gate)}`;
  const peephole = (gate: number, value: string): string =>
    operands.has(7)
      ? ` + convert<Real>(${operands.input(7).at(['direction', `(${String(gate * size)} + i)`])}) * ${value}`
      : '';
  const loop = `    for (i32 i = threadIdx.x; i < ${String(size)}; i += ${String(threads)}) {`;
  const f = (k: number, value: string): string => `activation${String(k)}(${value}, direction)`;
  if (op === 'rnn') return `${loop}\n      const Real next = ${f(0, sum(0))};`;
  if (op === 'lstm') {
    const forget = group.anchor!.attributes['inputForget'] === 1 ? '1 - input' : f(0, sum(2) + peephole(2, 'old'));
    return `${loop}
      const Real old = cell[i];
      const Real input = ${f(0, sum(0) + peephole(0, 'old'))};
      const Real forget = ${forget};
      const Real kept = forget * old + input * ${f(1, sum(3))};
      const Real output = ${f(0, sum(1) + peephole(1, 'kept'))};
      cell[i] = kept;
      const Real next = output * ${f(2, 'kept')};`;
  }
  if (!resetsFirst(layer, group))
    return `${loop}
      const Real update = ${f(0, sum(0))}, reset = ${f(0, sum(1))};
      const Real fresh = ${f(1, `x[${at(2)}] + reset * (sums[${at(2)}]${bias(2)})`)};
      const Real next = (1 - update) * fresh + update * h[i];`;
  // The cell's place holds the state that the reset gate lets through.
  return `${loop}
      cell[i] = ${f(0, sum(1))} * h[i];
    }
    __syncthreads();
    multiply_rows<${String(threads)}, ${String(rowVector(layer))}>(${String(size)}, ${String(size)}, cell, sums + ${String(2 * size)}, [&](i32 row, i32 k) {
      return load(${String(2 * size)} + row, k);
    });
    __syncthreads();
${loop}
      const Real update = ${f(0, sum(0))};
      const Real next = (1 - update) * ${f(1, sum(2))} + update * h[i];`;
}
