/** pool and maxPoolWithIndices: a vector of channels to a thread where they lie side by side, else an element. */

import {
  type Dim,
  type DType,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  floorDivDims,
  type GroupView,
  type Layout,
  type MemoryView,
  productOf,
  provablyDivisible,
  provablyEqual,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { index, indexType, isAligned } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { layoutsFor } from '../operands.js';
import {
  AnchorOperands,
  coordinates,
  elementKernel,
  emitOverOutput,
  names,
  type TextOperand,
} from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { overTaps, type Windows, windowsOf } from './windows.js';

export const pool: Tactic = operatorTactic({
  name: 'pool',
  operators: ['pool'],
  layouts: (group) => layoutsFor(group.outputs[0]!),
  dense: true,
  emit: emitPool,
});

export const maxPoolWithIndices: Tactic = operatorTactic({
  name: 'maxPoolWithIndices',
  operators: ['maxPoolWithIndices'],
  emit: emitMaxPoolWithIndices,
});

/** What integers are summed in; floats of 16 bits take float32. */
export function sumType(dtype: DType): 'f32' | 'f64' {
  return dtypeInfo(dtype).class === 'float' && dtype !== 'float64' ? 'f32' : 'f64';
}

function emitPool(group: GroupView, context: EmitContext, layout: Layout): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y] = [operands.input(0), operands.output()];
  const windows = windowsOf(attributes, attributes['kernelShape'] as readonly number[]);
  const width = layout === 'channelsLast' ? channelVector(x, y) : 1;
  const dims = y.view.dims.map((d, k) => (k === 1 ? floorDivDims(d, width) : d));
  const number = indexType(x.view, y.view);
  const spatial = windows.kernel.map((_, k) => String(k + 2));
  const channel = width === 1 ? 'c1' : `c1 * ${String(width)}`;
  const { accumulator, start, term, finish } = operationOf(attributes, x, windows, args);
  const at = (view: MemoryView, letter: string): string =>
    index(view, ['c0', `(${channel})`, ...spatial.map((k) => letter + k)], args);
  const w = String(width);
  const each = (statement: string): string => `#pragma unroll\n  for (int k = 0; k < ${w}; ++k) ${statement}`;
  const body = `${coordinates(dims, layout, number, args)}
  ${accumulator} acc[${w}];
${each(`acc[k] = ${start};`)}
${overTaps(
  windows,
  x.view.dims.slice(2),
  number,
  args,
  `    const auto v = load_vec<${w}>(${x.pointer} + ${at(x.view, 'x')});
${each(term('acc[k]', `convert<${accumulator}>(v.v[k])`))}`,
)}
  Vec<${y.type}, ${w}> result;
${finish('acc[k]', (value) => each(`result.v[k] = convert<${y.type}>(${value});`))}
  store_vec(${y.pointer} + ${at(y.view, 'c')}, result);`;
  const kernel = elementKernel({ name: 'pool', count: productOf(dims), number, body }, args);
  return launchStep({ uses: ['windows'], text: kernel.text, arguments: args, launches: [kernel.launch] });
}

/** Channels that one thread takes: as many as make 16 bytes, where both sides are aligned. */
export function channelVector(...operands: readonly TextOperand[]): number {
  const widest = Math.max(...operands.map((o) => dtypeInfo(o.dtype).bits / 8));
  let width = 16 / widest;
  const fits = ({ view }: TextOperand): boolean =>
    provablyEqual(view.strides[1]!, 1) && provablyDivisible(view.dims[1]!, width) && isAligned(view, 1, width);
  while (width > 1 && !operands.every(fits)) width /= 2;
  return width;
}

interface Operation {
  readonly accumulator: string;
  readonly start: string;
  /** A statement that takes a value in. */
  readonly term: (acc: string, value: string) => string;
  /** Statements that store what the accumulator comes to. */
  readonly finish: (acc: string, store: (value: string) => string) => string;
}

function operationOf(
  attributes: Readonly<Record<string, unknown>>,
  x: TextOperand,
  windows: Windows,
  args: Arguments,
): Operation {
  const isFloat = dtypeInfo(x.dtype).class === 'float';
  switch (attributes['kind']) {
    case 'max': {
      const accumulator = isFloat ? sumType(x.dtype) : x.type;
      return {
        accumulator,
        start: `lowest<${accumulator}>()`,
        term: (acc, v) => `${acc} = maximum(${acc}, ${v});`,
        finish: (acc, store) => store(acc),
      };
    }
    case 'average': {
      const accumulator = sumType(x.dtype);
      return {
        accumulator,
        start: '0',
        term: (acc, v) => `${acc} += ${v};`,
        finish: (acc, store) =>
          `  ${divisor(windows, x.view.dims.slice(2), attributes, args)}\n${store(`divisor == 0 ? 0 : ${acc} / ${accumulator}(divisor)`)}`,
      };
    }
    default: {
      const accumulator = sumType(x.dtype);
      const p = attributes['p'] as number;
      const [pow, abs, sqrt] = accumulator === 'f32' ? ['powf', 'fabsf', 'sqrtf'] : ['pow', 'fabs', 'sqrt'];
      const exponent = (e: number): string => `${accumulator}(${String(e)})`;
      return {
        accumulator,
        start: '0',
        term: (acc, v) =>
          p === 2
            ? `{ const ${accumulator} u = ${v}; ${acc} += u * u; }`
            : `${acc} += ${p === 1 ? `${abs}(${v})` : `${pow}(${abs}(${v}), ${exponent(p)})`};`,
        finish: (acc, store) =>
          store(p === 2 ? `${sqrt}(${acc})` : p === 1 ? acc : `${pow}(${acc}, ${exponent(1 / p)})`),
      };
    }
  }
}

/** `divisor`: the taps of a window that lie in the input, or in the input and its padding. */
function divisor(
  w: Windows,
  extents: readonly Dim[],
  attributes: Readonly<Record<string, unknown>>,
  args: Arguments,
): string {
  const includePad = attributes['countIncludePad'] === true;
  const whole = attributes['ceilMode'] !== true && (includePad || w.pads.every((p) => p === 0));
  if (whole) return `constexpr int divisor = ${String(w.kernel.reduce((p, k) => p * k, 1))};`;
  const factors = w.kernel.map((size, i) => {
    const begin = `c${String(i + 2)} * ${String(w.strides[i]!)} - ${args.dim(w.pads[i]!)}`;
    const extent = args.dim(extents[i]!);
    const end = includePad ? `${extent} + ${args.dim(w.pads[i + w.kernel.length]!)}` : extent;
    return `window_taps(${begin}, ${includePad ? begin : '0'}, ${end}, ${String(size)}, ${String(w.dilations[i]!)})`;
  });
  return `const auto divisor = ${factors.join(' * ')};`;
}

function emitMaxPoolWithIndices(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y, at] = [operands.input(0), operands.output(0), operands.output(1)];
  const windows = windowsOf(attributes, attributes['kernelShape'] as readonly number[]);
  const rank = x.view.dims.length;
  const spatial = x.view.dims.slice(2);
  const coordinate = ['c0', 'c1', ...names('x', rank).slice(2)];
  const value = dtypeInfo(x.dtype).class === 'float' ? sumType(x.dtype) : x.type;
  const order = spatial.map((_, k) => k);
  if (attributes['storageOrder'] === 1) order.reverse();
  // Horner's rule over the spatial axes, the outermost first.
  const place = order.reduce(
    (sum, k) => (sum === '' ? `i64(x${String(k + 2)})` : `(${sum} * ${args.dim(spatial[k]!)} + x${String(k + 2)})`),
    '',
  );
  const plane = args.dim(productOf(spatial));
  return emitOverOutput(
    'max_pool',
    args,
    y,
    [x, at],
    'rows',
    (number) => `
  ${value} best = lowest<${value}>();
  i64 place = -1;
${overTaps(
  windows,
  spatial,
  number,
  args,
  `    const ${value} v = convert<${value}>(${x.at(coordinate)});
    if (place < 0 || v > best) {
      best = v;
      place = ${place};
    }`,
)}
  ${y.at(names('c', rank))} = convert<${y.type}>(best);
  ${at.at(names('c', rank))} = place < 0 ? -1 : (i64(c0) * ${args.dim(x.view.dims[1]!)} + c1) * ${plane} + place;`,
    { outputs: 2 },
  );
}
