/** What becomes of the sums: bias, the group's map expressions, and the store through the output's view. */

import {
  anchorArg,
  type Dim,
  type DType,
  dtypeInfo,
  type GroupView,
  isInteger,
  type MemoryView,
  mulDims,
  provablyDivisible,
  provablyEqual,
} from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { broadcastView } from '../../print/loop-space.js';
import { argumentsOf, printScalars } from '../../print/scalars.js';
import { cxxType } from '../../print/types.js';
import { indexType } from '../../print/views.js';
import { dtypeOf } from '../operands.js';
import type { Problem, Role } from './problem.js';
import { printDecode } from './source.js';

interface SideOperand {
  /** Of the group's inputs. */
  readonly input: number;
  readonly dtype: DType;
  /** Over the axes of the output. */
  readonly view: MemoryView;
}

/** Consecutive axes of a role that all operands walk with one stride each. */
interface Run {
  readonly extent: Dim;
  /** Of the output and then of each side operand. */
  readonly strides: readonly Dim[];
  /** The output axis where it is checked, else undefined. */
  readonly checked: number | undefined;
  readonly axis: number;
}

const vectorBytes = 16;
const mostLanes = 8;

/** What a result asks of a contraction. */
export type ResultShape = Pick<Problem, 'batch' | 'rows' | 'columns' | 'output' | 'bias'>;

export interface ResultOptions {
  readonly group: GroupView;
  readonly problem: ResultShape;
  readonly view: (input: number) => MemoryView;
  readonly output: MemoryView;
  /** C++ type of the sums. */
  readonly accumulator: string;
  /** Whether results are written. Default: yes; else value<W>(sum, sides) only computes them. */
  readonly stored?: boolean;
}

/** `struct Result`: load<W>() and store<W>() of gemm/blocks.cuh; and the widest W that the output takes. */
export function printResult(o: ResultOptions, args: Arguments): { text: string; width: number } {
  const { group, problem, output, stored = true } = o;
  const expression = group.expressions()[0]!;
  const anchor = anchorArg(group);
  const sides: SideOperand[] = argumentsOf(expression)
    .filter((i) => i !== anchor)
    .map((input) => ({
      input,
      dtype: dtypeOf(group.node.inputs[input])!,
      view: broadcastView(o.view(input), output.dims),
    }));
  const biasAt = problem.bias ? sides.push(biasOperand(o)) - 1 : -1;
  const views = [output, ...sides.map((s) => s.view)];
  const runs = runsOf(problem, views);
  const checks = problem.output.flatMap((axis, i) => (axis.checked ? [i] : []));
  const outType = cxxType(dtypeOf(group.outputs[0])!);
  const width = widthOf(runs, output, dtypeInfo(dtypeOf(group.outputs[0])!).bits / 8);
  const index = indexType(...views);
  const offset = (operand: number): string => offsetText(runs, operand, index, args);
  const loads = sides.map((side, i) => {
    const type = cxxType(side.dtype);
    const stride = runs.columns.at(-1)?.strides[1 + i] ?? 0;
    const pointer = `${args.input(side.input, type)} + ${offset(1 + i)}`;
    const name = `x${String(i)}`;
    if (stride === 0) return { member: `${type} ${name};`, value: `*(${pointer})`, element: `sides.${name}` };
    const isDense = stride === 1 && isVector(runs, side.view, 1 + i, width);
    const value = isDense ? `load_vec<W>(${pointer})` : `load_strided<W>(${pointer}, ${args.dim(stride)})`;
    return { member: `Vec<${type}, W> ${name};`, value, element: `sides.${name}.v[k]` };
  });
  const plain = `static_cast<${signedType(o.accumulator, dtypeOf(group.anchor!.outputs[0])!)}>(sum.v[k])`;
  const sum = biasAt < 0 ? plain : `(${plain} + convert<${o.accumulator}>(${loads[biasAt]!.element}))`;
  const sumText =
    biasAt < 0 ? plain : `static_cast<${signedType(o.accumulator, dtypeOf(group.anchor!.outputs[0])!)}>${sum}`;
  const scalars = printScalars([expression], (arg) =>
    arg === anchor ? sumText : loads[sides.findIndex((s, i) => s.input === arg && i !== biasAt)]!.element,
  );
  const decode = (['batch', 'rows', 'columns'] as const).flatMap((role) =>
    printDecode(runs[role], { batch: 'batch', rows: 'row', columns: 'column' }[role], prefixes[role], args),
  );
  const at = 'const Arguments& a, i32 batch, i32 row, i32 column';
  const lines = [
    'struct Result {',
    `  static constexpr int width = ${String(width)};`,
    `  template <int W>`,
    `  struct Sides { ${loads.map((l) => l.member).join(' ')} };`,
    '  template <int W>',
    `  TW_DEVICE static Sides<W> load(${at}) {`,
    ...decode.map((l) => `    ${l}`),
    ...checkText(problem, runs, checks, output, args).map((condition) => `    if (${condition}) return {};`),
    `    return {${loads.map((l) => l.value).join(',\n            ')}};`,
    '  }',
    '  template <int W>',
    ...(stored
      ? [
          `  TW_DEVICE static Vec<${outType}, W> store(${at}, const Vec<${o.accumulator}, W>& sum, const Sides<W>& sides) {`,
          ...decode.map((l) => `    ${l}`),
          ...checkText(problem, runs, checks, output, args).map((condition) => `    if (${condition}) return {};`),
        ]
      : [`  TW_DEVICE static Vec<${outType}, W> value(const Vec<${o.accumulator}, W>& sum, const Sides<W>& sides) {`]),
    `    Vec<${outType}, W> y;`,
    '#pragma unroll',
    '    for (int k = 0; k < W; ++k) {',
    ...scalars.statements.split('\n').map((l) => `      ${l}`),
    `      y.v[k] = convert<${outType}>(${scalars.results[0]!});`,
    '    }',
    ...(stored ? [`    store_vec(${args.output(0, outType)} + ${offset(0)}, y);`] : []),
    '    return y;',
    '  }',
    '};',
  ];
  return { text: lines.join('\n'), width };
}

const prefixes = { batch: 'b', rows: 'r', columns: 'c' } as const;

/** Sums of wrapping integers are unsigned; they are read as what they stand for. */
function signedType(accumulator: string, dtype: DType): string {
  return isInteger(dtype) ? cxxType(dtype) : accumulator;
}

function biasOperand(o: ResultOptions): SideOperand {
  const { input, axis } = o.problem.bias!;
  const view = o.view(input);
  return {
    input,
    dtype: dtypeOf(o.group.node.inputs[input])!,
    view: {
      offset: view.offset,
      dims: o.output.dims,
      strides: o.output.dims.map((_, i) => (i === axis ? view.strides[0]! : 0)),
    },
  };
}

type Runs = Readonly<Record<Role, readonly Run[]>>;

function runsOf(problem: ResultShape, views: readonly MemoryView[]): Runs {
  const list = (role: Role): Run[] => {
    const runs: Run[] = [];
    problem[role].forEach((extent, axis) => {
      if (extent === 1) return;
      const at = problem.output.findIndex((o) => o.terms.some((t) => t.role === role && t.axis === axis));
      const term = problem.output[at]!.terms.find((t) => t.role === role && t.axis === axis)!;
      const checked = problem.output[at]!.checked ? at : undefined;
      const strides = views.map((v) => mulDims(v.strides[at]!, term.step));
      const outer = runs.at(-1);
      const mergeable =
        outer?.checked === undefined &&
        checked === undefined &&
        outer?.strides.every((s, k) => provablyEqual(s, mulDims(strides[k]!, extent))) === true;
      if (outer && mergeable) runs[runs.length - 1] = { ...outer, extent: mulDims(outer.extent, extent), strides };
      else runs.push({ extent, strides, checked, axis });
    });
    return runs;
  };
  return { batch: list('batch'), rows: list('rows'), columns: list('columns') };
}

/** Output coordinates that may lie beyond the output: the blocks of a transposed convolution are rounded up. */
function checkText(
  problem: ResultShape,
  runs: Runs,
  checks: readonly number[],
  output: MemoryView,
  args: Arguments,
): string[] {
  return checks.map((at) => {
    const terms = problem.output[at]!.terms.flatMap(({ role, axis, step }) => {
      const i = runs[role].findIndex((r) => r.checked === at && r.axis === axis);
      return i < 0 ? [] : [`${prefixes[role]}${String(i)} * ${String(step)}`];
    });
    return `${terms.join(' + ') || '0'} >= ${args.dim(output.dims[at]!)}`;
  });
}

function offsetText(runs: Runs, operand: number, index: string, args: Arguments): string {
  const terms = (['batch', 'rows', 'columns'] as const).flatMap((role) =>
    runs[role].flatMap(({ strides }, i) => {
      const stride = strides[operand]!;
      if (stride === 0) return [];
      const coordinate = `${index}(${prefixes[role]}${String(i)})`;
      return [stride === 1 ? coordinate : `${coordinate} * ${args.dim(stride)}`];
    }),
  );
  return terms.length === 0 ? '0' : `(${terms.join(' + ')})`;
}

/** Neighbours along the columns that are stored at once. */
function widthOf(runs: Runs, output: MemoryView, bytes: number): number {
  const inner = runs.columns.at(-1);
  if (inner?.strides[0] !== 1) return 1;
  let width = Math.min(mostLanes, vectorBytes / bytes);
  while (width > 1 && !(provablyDivisible(inner.extent, width) && isVector(runs, output, 0, width))) width /= 2;
  return width;
}

/** Whether vectors along the columns are aligned wherever they begin. */
function isVector(runs: Runs, view: MemoryView, operand: number, width: number): boolean {
  const others = [...runs.batch, ...runs.rows, ...runs.columns.slice(0, -1)];
  return provablyDivisible(view.offset, width) && others.every((r) => provablyDivisible(r.strides[operand]!, width));
}
