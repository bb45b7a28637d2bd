/** dft, stft: every output number is one sum over its signal, with the roots of unity of one period in a table. */

import {
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  inferFacts,
  minDims,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, coordinates, elementKernel, names, type TextOperand } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

export const fourier: Tactic = operatorTactic({
  name: 'fourier',
  operators: ['dft', 'stft'],
  refuses: (group) =>
    factOf(group, group.anchor!.op === 'dft' ? 1 : 3) === null ? 'the length is only known at run time' : undefined,
  emit: (group, context) => (group.anchor!.op === 'dft' ? emitDft(group, context) : emitStft(group, context)),
});

/** undefined: the operand is omitted; null: nothing is known of it. */
function factOf(group: GroupView, position: number): Dim | undefined | null {
  const v = group.anchor!.inputs[position];
  return v && (inferFacts(v)?.[0] ?? null);
}

interface Sum {
  readonly name: string;
  readonly args: Arguments;
  readonly y: TextOperand;
  readonly operands: readonly TextOperand[];
  /** Elements of a period. */
  readonly length: Dim;
  /** Terms of the sum. */
  readonly terms: Dim;
  readonly inverse: boolean;
  /** The coordinate that counts frequencies. */
  readonly frequency: string;
  /** Statements that declare f64 `re` and `im` of term k. */
  readonly term: string;
  readonly real: boolean;
}

/** Kernels: the roots of unity of one period, then a sum for each output number. */
function emitSum({
  name,
  args,
  y,
  operands,
  length,
  terms,
  inverse,
  frequency,
  term,
  real,
}: Sum): Promise<EmittedStep> {
  const number = indexType(y.view, ...operands.map((o) => o.view));
  const rank = y.view.dims.length;
  const roots = args.workspace(0, 'f64');
  const n = args.dim(length);
  const table = elementKernel(
    {
      name: 'roots',
      count: length,
      number: 'i32',
      body: `  const f64 angle = 6.283185307179586 * i / ${n};
  ${roots}[2 * i] = cos(angle);
  ${roots}[2 * i + 1] = ${inverse ? '' : '-'}sin(angle);`,
    },
    args,
  );
  const dims = y.view.dims.slice(0, -1);
  const c = names('c', rank - 1);
  const scale = inverse ? ` / ${n}` : '';
  const sum = elementKernel(
    {
      name,
      count: productOf(dims),
      number,
      body: `${coordinates(dims, 'rows', number, args)}
  f64 sum_re = 0, sum_im = 0;
  i64 turn = 0;
  for (i32 k = 0; k < ${args.dim(terms)}; ++k) {
    const f64 cosine = ${roots}[2 * turn], sine = ${roots}[2 * turn + 1];
${term}
    sum_re += re * cosine - im * sine;
    sum_im += re * sine + im * cosine;
    turn += ${frequency};
    if (turn >= ${n}) turn -= ${n};
  }
  ${y.at([...c, '0'])} = convert<${y.type}>(sum_re${scale});
  ${real ? '' : `${y.at([...c, '1'])} = convert<${y.type}>(sum_im${scale});`}`,
    },
    args,
  );
  return launchStep({
    text: table.text + sum.text,
    arguments: args,
    launches: [table.launch, sum.launch],
    workspaceBytes: productOf([length, 16]),
  });
}

/** Of real numbers there is none: what the last axis holds, one part or two, the run alone may know. */
function imaginary(parts: Dim | undefined, read: string, args: Arguments): string {
  if (parts === undefined || parts === 1) return '0.0';
  return parts === 2 ? read : `(${args.dim(parts)} == 2 ? ${read} : 0.0)`;
}

function emitDft(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y] = [operands.input(0), operands.output()];
  const rank = x.view.dims.length;
  const axis = ((attributes['axis'] as number) + rank) % rank;
  const [inverse, onesided] = [attributes['inverse'] === true, attributes['onesided'] === true];
  const extent = x.view.dims[axis]!;
  // A one-sided spectrum stands for its mirror image as well.
  const mirrored = inverse && onesided;
  const forward = onesided && !inverse;
  const length = factOf(group, 1) ?? (forward ? extent : y.view.dims[axis]!);
  const c = names('c', rank - 1);
  const read = (part: number): string => `convert<f64>(${x.at([...c.toSpliced(axis, 1, 'at'), String(part)])})`;
  const im = imaginary(x.view.dims.at(-1), read(1), args);
  const n = args.dim(length);
  const term = mirrored
    ? `    const i32 half = ${n} / 2, at = k <= half ? k : ${n} - k;
    const bool given = at < ${args.dim(extent)};
    const f64 re = given ? ${read(0)} : 0.0, im = given ? (k <= half ? ${im} : -${im}) : 0.0;`
    : `    const i32 at = k;\n    const f64 re = ${read(0)}, im = ${im};`;
  return emitSum({
    name: 'dft',
    args,
    y,
    operands: [x],
    length,
    terms: mirrored ? length : minDims(extent, length),
    inverse,
    frequency: `c${String(axis)}`,
    term,
    real: mirrored,
  });
}

function emitStft(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y] = [operands.input(0), operands.output()];
  const window = operands.has(2) ? operands.input(2) : undefined;
  const step = factOf(group, 1)!;
  const frame = window ? window.view.dims[0]! : (factOf(group, 3) ?? x.view.dims[1]!);
  const weight = window ? ` * convert<f64>(${window.at(['k'])})` : '';
  const read = (part: number): string => `convert<f64>(${x.at(['c0', 'at', String(part)])})${weight}`;
  return emitSum({
    name: 'stft',
    args,
    y,
    operands: [x],
    length: frame,
    terms: frame,
    inverse: false,
    frequency: 'c2',
    term: `    const auto at = c1 * ${args.dim(step)} + k;
    const f64 re = ${read(0)}, im = ${imaginary(x.view.dims[2], read(1), args)};`,
    real: false,
  });
}
