/** resize: a kernel makes tables of taps along each resampled axis, another one walks the result with them. */

import {
  type Attributes,
  constantOf,
  type Dim,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  floorDivDims,
  type GroupView,
  inferFacts,
  type Layout,
  mulDims,
  type Node,
  productOf,
  provablyEqual,
  readNumbers,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { Workspace } from '../../launch/workspace.js';
import { index, indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { layoutsFor } from '../operands.js';
import { countedShape } from './counted-shape.js';
import { AnchorOperands, coordinates, elementKernel } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { channelVector, sumType } from './pool.js';

export const resize: Tactic = operatorTactic({
  name: 'resize',
  operators: ['resize'],
  layouts: (group) => layoutsFor(group.outputs[0]!),
  dense: true,
  refuses: (group) => {
    const plan = planOf(group);
    if (typeof plan === 'string') return plan;
    return plan.some((p) => p.taps > maxTaps) ? 'the scale is too small for antialiasing' : undefined;
  },
  counts: true,
  emit: (group, context, layout) =>
    countedShape({
      group,
      context,
      shape: printSizes,
      decidedBy: [3],
      write: () => emitResize(group, context, layout),
    }),
});

/** As the operand, but for the axes that `scales` or `sizes` speaks of. */
function printSizes(operands: AnchorOperands, args: Arguments, { attributes, inputs }: Node): string {
  const { dims } = operands.input(0).view;
  const extents = dims.map((d, k) => `  dims[${String(k)}] = ${args.dim(d)};`);
  const constant = constantOf(inputs[2]);
  const scales = constant && constant.size > 0 ? readNumbers(constant) : undefined;
  const given = axesOf(attributes, dims.length).map((axis, k) => {
    const extent = scales
      ? // In float, as the definition rounds it.
        `i64(floorf(f32(f64(${args.dim(dims[axis]!)}) * ${String(scales[k]!)})))`
      : `convert<i64>(${operands.input(3).at([String(k)])})`;
    return `  dims[${String(axis)}] = ${extent};`;
  });
  // Of nothing, there is nothing else to make.
  const lacking = axesOf(attributes, dims.length)
    .filter((axis) => dimBounds(dims[axis]!).min === 0)
    .map((axis) => `  valid = valid && (${args.dim(dims[axis]!)} > 0 || dims[${String(axis)}] == 0);`);
  return [...extents, ...given, ...lacking].join('\n');
}

const maxTaps = 4096;

/** A resampled axis. */
interface AxisPlan {
  readonly axis: number;
  /** Among the axes that roi, scales and sizes speak of. */
  readonly position: number;
  /** Undefined: the ratio of the extents, which only the run knows. */
  readonly scale: number | undefined;
  readonly taps: number;
}

function dimsOf(group: GroupView, which: 'x' | 'y'): readonly Dim[] {
  const { type } = which === 'x' ? group.anchor!.inputs[0]! : group.outputs[0]!;
  return type.kind === 'tensor' ? type.dims! : [];
}

function axesOf(attributes: Attributes, rank: number): number[] {
  const axes = (attributes['axes'] as readonly number[] | undefined) ?? Array.from({ length: rank }, (_, i) => i);
  return axes.map((a) => (a < 0 ? a + rank : a));
}

/** The resampled axes, or why they are not known well enough. */
function planOf(group: GroupView): AxisPlan[] | string {
  const { attributes, inputs } = group.anchor!;
  const [x, y] = [dimsOf(group, 'x'), dimsOf(group, 'y')];
  const axes = axesOf(attributes, x.length);
  const scales = scalesOf(group, axes);
  if (typeof scales === 'string') return scales;
  const crop = attributes['coordinateTransformationMode'] === 'tf_crop_and_resize' && inputs[1] !== undefined;
  const antialias = attributes['antialias'] === true && attributes['mode'] !== 'nearest';
  const plans: AxisPlan[] = [];
  for (const [position, axis] of axes.entries()) {
    const scale = scales[position];
    const untouched = provablyEqual(x[axis]!, y[axis]!) && (scale === undefined || scale === 1) && !crop;
    if (untouched) continue;
    if (antialias && scale === undefined) return 'antialiasing by a scale that only the run knows';
    plans.push({ axis, position, scale, taps: tapsOf(attributes, scale ?? 1) });
  }
  return plans;
}

function tapsOf(attributes: Attributes, scale: number): number {
  if (attributes['mode'] === 'nearest') return 1;
  const reach = attributes['mode'] === 'cubic' ? 2 : 1;
  if (attributes['antialias'] !== true || scale >= 1) return 2 * reach;
  return 2 - 2 * Math.floor(-reach / scale + 1);
}

function scalesOf(group: GroupView, axes: readonly number[]): (number | undefined)[] | string {
  const { attributes, inputs } = group.anchor!;
  const [x, y] = [dimsOf(group, 'x'), dimsOf(group, 'y')];
  const given = constantOf(inputs[2]);
  if (given && given.size > 0) return [...readNumbers(given)];
  const sizes = inputs[3] && inferFacts(inputs[3]);
  if (attributes['keepAspectRatioPolicy'] === 'stretch' || attributes['keepAspectRatioPolicy'] === undefined) {
    if (!sizes && inputs[2] && !inputs[3]) return 'the scales are only known at run time';
    return axes.map((axis) => {
      const [from, to] = [x[axis]!, y[axis]!];
      return typeof from === 'number' && typeof to === 'number' ? to / from : undefined;
    });
  }
  const extents = axes.map((a) => x[a]!);
  if (!sizes || ![...sizes, ...extents].every((d) => typeof d === 'number'))
    return 'sizes under an aspect ratio policy are only known at run time';
  const ratios = sizes.map((s, i) => (s as number) / (extents[i] as number));
  const common = attributes['keepAspectRatioPolicy'] === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return axes.map(() => common);
}

interface Table extends AxisPlan {
  readonly indices: string;
  readonly weights: string;
}

function emitResize(group: GroupView, context: EmitContext, layout: Layout): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y] = [operands.input(0), operands.output()];
  const nearest = attributes['mode'] === 'nearest';
  const tables: Table[] = [];
  const makers: { readonly text: string; readonly launch: Launch }[] = [];
  const workspace = new Workspace();
  for (const plan of planOf(group) as AxisPlan[]) {
    const extent = y.view.dims[plan.axis]!;
    const table = (): Dim => workspace.take(mulDims(extent, 4 * plan.taps));
    const made: Table = {
      ...plan,
      indices: args.workspace(table(), 'i32'),
      weights: nearest ? '' : args.workspace(table(), 'f32'),
    };
    tables.push(made);
    makers.push(tableKernel(made, group, operands, args));
  }
  const vector = layout === 'channelsLast' && !tables.some((t) => t.axis === 1) ? channelVector(x, y) : 1;
  const width = String(vector);
  const dims = y.view.dims.map((d, k) => (k === 1 && vector > 1 ? floorDivDims(d, vector) : d));
  const number = indexType(x.view, y.view);
  const at = (k: number): string => (k === 1 && vector > 1 ? `(c1 * ${width})` : `c${String(k)}`);
  const source = y.view.dims.map((_, k) => (tables.some((t) => t.axis === k) ? `x${String(k)}` : at(k)));
  const target = `${y.pointer} + ${index(
    y.view,
    y.view.dims.map((_, k) => at(k)),
    args,
  )}`;
  const from = `${x.pointer} + ${index(x.view, source, args)}`;
  const outside = tables.map((t) => `${t.indices}[c${String(t.axis)} * ${String(t.taps)}] < 0`).join(' || ') || 'false';
  const sum = sumType(x.dtype);
  const crop = attributes['coordinateTransformationMode'] === 'tf_crop_and_resize';
  const extrapolation = attributes['extrapolationValue'] as number;
  const elements = productOf(x.view.dims);
  const body = `${dimBounds(elements).min > 0 ? '' : `  if (${args.dim(elements)} == 0) return;\n`}${coordinates(dims, layout, number, args)}
${
  crop
    ? `  if (${outside}) {
    Vec<${y.type}, ${width}> fill;
    for (int k = 0; k < ${width}; ++k) fill.v[k] = rounded_to<${y.type}>(f64(${String(extrapolation)}));
    store_vec(${target}, fill);
    return;
  }`
    : ''
}
${
  nearest
    ? `${tables.map((t) => `  const ${number} x${String(t.axis)} = ${t.indices}[c${String(t.axis)}];`).join('\n')}
  store_vec(${target}, load_vec<${width}>(${from}));`
    : `  ${sum} acc[${width}];
#pragma unroll
  for (int k = 0; k < ${width}; ++k) acc[k] = 0;
${weighted(tables, number, sum, width, from)}
  Vec<${y.type}, ${width}> result;
#pragma unroll
  for (int k = 0; k < ${width}; ++k) result.v[k] = rounded_to<${y.type}>(acc[k]);
  store_vec(${target}, result);`
}`;
  const walk = elementKernel({ name: 'resize', count: productOf(dims), number, body }, args);
  return launchStep({
    uses: ['resize'],
    text: [...makers, walk].map((k) => k.text).join(''),
    arguments: args,
    launches: [...makers, walk].map((k) => k.launch),
    ...(tables.length > 0 && { workspaceBytes: workspace.bytes }),
  });
}

/** Nested loops over the taps of each axis. */
function weighted(tables: readonly Table[], number: string, sum: string, width: string, from: string): string {
  const lines: string[] = [];
  let weight = '';
  for (const { axis, taps, indices, weights } of tables) {
    const [k, entry] = [String(axis), `c${String(axis)} * ${String(taps)} + t${String(axis)}`];
    lines.push(
      `#pragma unroll${taps > 4 ? ' 1' : ''}`,
      `  for (int t${k} = 0; t${k} < ${String(taps)}; ++t${k}) {`,
      `    const ${number} x${k} = ${indices}[${entry}];`,
      `    const f32 w${k} = ${weight}${weights}[${entry}];`,
    );
    weight = `w${k} * `;
  }
  const last = tables.length > 0 ? `${sum}(w${String(tables.at(-1)!.axis)})` : `${sum}(1)`;
  return [
    ...lines,
    `    const auto v = load_vec<${width}>(${from});`,
    '#pragma unroll',
    `    for (int k = 0; k < ${width}; ++k) acc[k] += ${last} * convert<${sum}>(v.v[k]);`,
    ...tables.map(() => '  }'),
  ].join('\n');
}

const roundings: Readonly<Record<string, string>> = {
  round_prefer_floor: 'round_prefer_floor',
  round_prefer_ceil: 'round_prefer_ceil',
  floor: 'round_floor',
  ceil: 'round_ceil',
};

function tableKernel(
  table: Table,
  group: GroupView,
  operands: AnchorOperands,
  args: Arguments,
): { readonly text: string; readonly launch: Launch } {
  const { attributes } = group.anchor!;
  const { axis, position, scale, taps, indices, weights } = table;
  const [x, y] = [operands.input(0).view, operands.output().view];
  const extent = y.dims[axis]!;
  const f64 = (d: Dim): string => `f64(${args.dim(d)})`;
  const mode = attributes['coordinateTransformationMode'] as string;
  const count = axesOf(attributes, x.dims.length).length;
  const roi = mode === 'tf_crop_and_resize' && operands.has(1) ? operands.input(1) : undefined;
  const bound = (at: number, fallback: number): string =>
    roi ? `f64(convert<${sumType(roi.dtype)}>(${roi.at([String(at)])}))` : String(fallback);
  const ratio = scale === undefined ? `${f64(extent)} / ${f64(x.dims[axis]!)}` : `f64(${String(scale)})`;
  const cubicA = attributes['cubicCoeffA'] as number;
  const stretch = attributes['antialias'] === true ? Math.min(scale ?? 1, 1) : 1;
  const call =
    attributes['mode'] === 'nearest'
      ? `nearest_sample<${mode}, ${roundings[attributes['nearestMode'] as string]!}>(axis, i, ${indices} + i)`
      : `weigh_samples<${mode}, ${String(taps)}, ${String(attributes['mode'] === 'cubic')}, ${String(attributes['excludeOutside'] === true)}>(axis, ${String(stretch)}, ${String(cubicA)}, i, ${indices} + i * ${String(taps)}, ${weights} + i * ${String(taps)})`;
  return elementKernel(
    {
      name: `table${String(axis)}`,
      count: extent,
      number: 'i32',
      body: `  const ResizeAxis axis = {${f64(x.dims[axis]!)}, ${f64(extent)}, ${ratio}, ${bound(position, 0)}, ${bound(count + position, 1)}};
  ${call};`,
    },
    args,
  );
}
