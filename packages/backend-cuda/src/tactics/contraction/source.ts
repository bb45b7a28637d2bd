/** An operand of a contraction as the source type that the kernels read it through (native/cuda/kernels/gemm/copy.cuh). */

import { addDims, type Dim, dimBounds, mulDims, productOf, provablyDivisible, provablyEqual } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import type { OperandAxes, PhaseTable, Window } from './problem.js';

/** A run of axes that one stride walks; or an axis that windows read the coordinate of. */
export interface Walk {
  readonly extent: Dim;
  readonly stride: Dim;
  /** Windows of which this is the row or the depth. */
  readonly windows: readonly number[];
}

export interface SourceOptions {
  /** Of the C++ type. */
  readonly name: string;
  /** C++ type of the elements, and their size in bytes. */
  readonly type: string;
  readonly bytes: number;
  /** C++ pointer to the first element. */
  readonly pointer: string;
  /** Offset of that element in its allocation, for alignment. */
  readonly offset: Dim;
  readonly axes: OperandAxes;
  readonly batch: readonly Dim[];
  readonly own: readonly Dim[];
  readonly depth: readonly Dim[];
  readonly constant: boolean;
  /** Whether zeros follow the innermost axis, up to a multiple of the widest copy. */
  readonly padded: boolean;
  /** Of the innermost depth axis: elements from here on are left out. */
  readonly used?: number | undefined;
  /** Copies of fewer bytes than this are made element by element. */
  readonly leastCopyBytes: number;
  /** Whether copies may run along the rows, too. */
  readonly alongRows: boolean;
}

export interface SourceText {
  readonly text: string;
  readonly width: number;
  readonly alongDepth: boolean;
}

/** Windows that never leave the image are strides of their row and depth axes; those at an offset stay what they are. */
export function withoutPlainWindows(axes: OperandAxes): OperandAxes {
  const own = [...axes.own];
  const depth = [...axes.depth];
  const windows = axes.windows.filter((w) => {
    if (w.checked || w.base !== 0) return true;
    if (w.row !== undefined) own[w.row] = addDims(own[w.row]!, mulDims(w.stride, w.rowStep));
    depth[w.depth] = addDims(depth[w.depth]!, mulDims(w.stride, w.depthStep));
    return false;
  });
  return { ...axes, own, depth, windows };
}

/** Neighbouring axes as one where one stride walks both. */
export function mergeWalks(
  extents: readonly Dim[],
  strides: readonly Dim[],
  windowsOf: (axis: number) => readonly number[],
): Walk[] {
  const walks: Walk[] = [];
  extents.forEach((extent, i) => {
    if (extent === 1) return;
    const windows = windowsOf(i);
    const stride = strides[i]!;
    const outer = walks.at(-1);
    const mergeable = outer?.windows.length === 0 && provablyEqual(outer.stride, mulDims(stride, extent));
    if (outer && mergeable && windows.length === 0)
      walks[walks.length - 1] = { extent: mulDims(outer.extent, extent), stride, windows };
    else walks.push({ extent, stride, windows });
  });
  return walks;
}

/** Statements that take `from` apart into one coordinate for each walk, named prefix0, prefix1 …. */
export function printDecode(
  walks: readonly { extent: Dim }[],
  from: string,
  prefix: string,
  args: Arguments,
): string[] {
  const lines: string[] = [];
  let rest = from;
  for (let i = walks.length - 1; i > 0; i--) {
    const extent = `static_cast<u32>(${args.dim(walks[i]!.extent)})`;
    lines.push(`const i32 ${prefix}q${String(i)} = static_cast<u32>(${rest}) / ${extent};`);
    lines.push(`const i32 ${prefix}${String(i)} = ${rest} - ${prefix}q${String(i)} * static_cast<i32>(${extent});`);
    rest = `${prefix}q${String(i)}`;
  }
  if (walks.length > 0) lines.push(`const i32 ${prefix}0 = ${rest};`);
  return lines;
}

export function printSource(options: SourceOptions, args: Arguments): SourceText {
  const axes = withoutPlainWindows(options.axes);
  const batch = mergeWalks(options.batch, axes.batch, (i) => tablesOn(axes.windows, i));
  const own = mergeWalks(options.own, axes.own, (i) => indices(axes.windows, (w) => w.row === i));
  const depth = mergeWalks(options.depth, axes.depth, (i) => indices(axes.windows, (w) => w.depth === i));
  const index = indexTypeOf(axes, options);
  const { width, alongDepth } = copyShape(axes, batch, own, depth, options);
  const name = (window: number): string => String(window);
  const sum = (walks: readonly Walk[], prefix: string): string[] =>
    walks.flatMap(({ stride }, i) => {
      if (stride === 0) return [];
      const coordinate = `${index}(${prefix}${String(i)})`;
      return [stride === 1 ? coordinate : `${coordinate} * ${args.dim(stride)}`];
    });
  const total = (terms: readonly string[]): string => (terms.length === 0 ? '0' : terms.join(' + '));
  const walkOf = (walks: readonly Walk[], window: number, prefix: string): string => {
    const i = walks.findIndex((w) => w.windows.includes(window));
    return i < 0 ? '0' : `${prefix}${String(i)}`;
  };
  const checked = indices(axes.windows, (w) => w.checked);
  const times = (coordinate: string, step: number): string =>
    coordinate === '0' || step === 0 ? '0' : step === 1 ? coordinate : `${coordinate} * ${String(step)}`;
  const strided = (value: string, stride: Dim): string[] =>
    stride === 0 || value === '0' ? [] : [`${index}(${value}) * ${args.dim(stride)}`];

  const bases = axes.windows.map((w, i) => `  const i32 base${name(i)};`);
  const baseValues = axes.windows.map((w, i) => {
    const phase = typeof w.base === 'object' && 'values' in w.base ? w.base : undefined;
    const value = phase ? tableText(phase, walkOf(batch, i, 'b')) : `static_cast<i32>(${args.dim(w.base as Dim)})`;
    return `base${name(i)}(${value})`;
  });
  // Batch coordinates are needed in initializers: they are computed by a function that returns them all.
  const decoded = printDecode(batch, 'batch', 'b', args);
  const type = options.type;
  const rowValues = axes.windows.map((w, i) => `base${name(i)} + ${times(walkOf(own, i, 'r'), w.rowStep)}`);
  const stepValues = axes.windows.map((w, i) => times(walkOf(depth, i, 'k'), w.depthStep));
  const rowOffset = total([...sum(own, 'r'), ...axes.windows.flatMap((w, i) => strided(`y${name(i)}`, w.stride))]);
  const stepOffset = total([
    ...sum(depth, 'k'),
    ...axes.windows.flatMap((w, i) => strided(stepValues[i] === '0' ? '0' : `d${name(i)}`, w.stride)),
  ]);
  const conditions = checked.map(
    (i) =>
      `static_cast<u32>(place.y${name(i)} + step.d${name(i)}) < static_cast<u32>(${args.dim(axes.windows[i]!.extent)})`,
  );
  const lines = [
    `struct ${options.name} {`,
    `  using Element = ${type};`,
    `  static constexpr int width = ${String(width)};`,
    `  static constexpr bool along_depth = ${String(alongDepth)}, constant = ${String(options.constant)};`,
    `  static constexpr bool whole = ${String(isWhole(options, width, alongDepth))};`,
    `  struct Batch { ${batch.map((_, i) => `i32 b${String(i)}; `).join('')}};`,
    `  struct Place { ${index} offset; ${checked.map((i) => `i32 y${name(i)}; `).join('')}};`,
    `  struct Step { ${index} offset; ${checked.map((i) => `i32 d${name(i)}; `).join('')}};`,
    '  const Arguments& a;',
    `  const ${type}* const data;`,
    ...bases,
    `  TW_DEVICE ${options.name}(const Arguments& arguments, i32 batch) : ${options.name}(arguments, decode(arguments, batch)) {}`,
    `  TW_DEVICE ${options.name}(const Arguments& a, const Batch& at)`,
    `      : ${[
      'a(a)',
      `data(${options.pointer} + ${total(sum(batch, 'at.b'))})`,
      ...baseValues.map((v) => v.replaceAll(/\bb(\d+)\b/g, 'at.b$1')),
    ].join(', ')} {}`,
    '  TW_DEVICE static Batch decode(const Arguments& a, i32 batch) {',
    ...decoded.map((l) => `    ${l}`),
    `    return {${batch.map((_, i) => `b${String(i)}`).join(', ')}};`,
    '  }',
    '  TW_DEVICE Place place(i32 row) const {',
    ...printDecode(own, 'row', 'r', args).map((l) => `    ${l}`),
    ...axes.windows.map((_, i) => `    const i32 y${name(i)} = ${rowValues[i]!};`),
    `    return {${[rowOffset, ...checked.map((i) => `y${name(i)}`)].join(', ')}};`,
    '  }',
    '  TW_DEVICE Step step(i32 depth) const {',
    ...printDecode(depth, 'depth', 'k', args).map((l) => `    ${l}`),
    ...axes.windows.map((_, i) => `    const i32 d${name(i)} = ${stepValues[i]!};`),
    `    return {${[stepOffset, ...checked.map((i) => `d${name(i)}`)].join(', ')}};`,
    '  }',
    `  TW_DEVICE ${index} offset(const Place& place, const Step& step) const { return place.offset + step.offset; }`,
    `  TW_DEVICE bool inside(const Place& place, const Step& step) const { return ${conditions.join(' && ') || 'true'}; }`,
    `  TW_DEVICE i32 rows() const { return ${args.dim(productOf(options.own))}; }`,
    `  TW_DEVICE i32 depth() const { return ${args.dim(productOf(options.depth))}; }`,
    `  TW_DEVICE i32 left(i32 k) const { return ${leftText(options, args)}; }`,
    '};',
  ];
  return { text: lines.join('\n'), width, alongDepth };
}

/** Whether copies of `width` elements never end beyond the operand. */
function isWhole({ padded, used, depth, own }: SourceOptions, width: number, alongDepth: boolean): boolean {
  if (padded) return true;
  const extent = alongDepth ? (used ?? productOf(depth)) : productOf(own);
  return provablyDivisible(extent, width);
}

/** Elements from k on until the operand, or the part of its innermost axis that is used, ends. */
function leftText({ used, depth }: SourceOptions, args: Arguments): string {
  const inner = depth.at(-1);
  if (used === undefined || used === inner) return 'depth() - k';
  return `k < depth() ? ${String(used)} - static_cast<i32>(static_cast<u32>(k) % ${args.dim(inner!)}) : 0`;
}

function indices(windows: readonly Window[], keep: (w: Window) => boolean): number[] {
  return windows.flatMap((w, i) => (keep(w) ? [i] : []));
}

function tablesOn(windows: readonly Window[], batch: number): number[] {
  return indices(windows, (w) => typeof w.base === 'object' && 'values' in w.base && w.base.batch === batch);
}

/** A chain of comparisons: phases are few. */
function tableText({ values }: PhaseTable, coordinate: string): string {
  const same = values.every((v) => v === values[0]);
  if (same || coordinate === '0') return String(values[0]);
  const chain = values.slice(0, -1).map((v, i) => `${coordinate} == ${String(i)} ? ${String(v)} : `);
  return `(${chain.join('')}${String(values.at(-1))})`;
}

function indexTypeOf(axes: OperandAxes, o: SourceOptions): 'i32' | 'i64' {
  const spans = [
    ...o.batch.map((e, i) => mulDims(e, axes.batch[i]!)),
    ...o.own.map((e, i) => mulDims(e, axes.own[i]!)),
    ...o.depth.map((e, i) => mulDims(e, axes.depth[i]!)),
    ...axes.windows.map((w) => mulDims(w.extent, w.stride)),
  ];
  // Coordinates outside the image count, too: a factor of four covers any padding that makes sense.
  const total = spans.reduce<number>((sum, s) => sum + Math.max(0, dimBounds(s).max), 0);
  return total < 2 ** 29 ? 'i32' : 'i64';
}

/** The widest copies that alignment allows, and the axis they run along. */
function copyShape(
  axes: OperandAxes,
  batch: readonly Walk[],
  own: readonly Walk[],
  depth: readonly Walk[],
  o: SourceOptions,
): { width: number; alongDepth: boolean } {
  const innermost = (walks: readonly Walk[], width: number): boolean => {
    const inner = walks.at(-1);
    if (inner?.stride !== 1 || inner.windows.length > 0) return false;
    return walks.length === 1 || provablyDivisible(inner.extent, width);
  };
  const aligned = (walks: readonly Walk[], width: number): boolean =>
    walks.every((w) => provablyDivisible(w.stride, width));
  const rest = (width: number): boolean =>
    aligned(batch, width) &&
    provablyDivisible(o.offset, width) &&
    axes.windows.every((w) => provablyDivisible(w.stride, width));
  for (let width = 16 / o.bytes; width * o.bytes >= o.leastCopyBytes && width > 1; width /= 2) {
    if (!rest(width)) continue;
    if (innermost(depth, width) && aligned(depth.slice(0, -1), width) && aligned(own, width))
      return { width, alongDepth: true };
    if (o.alongRows && innermost(own, width) && aligned(own.slice(0, -1), width) && aligned(depth, width))
      return { width, alongDepth: false };
  }
  return { width: 1, alongDepth: own.at(-1)?.stride !== 1 || depth.at(-1)?.stride === 1 };
}
