/** Matrices as tensor maps, and the text that loads a tile of one (native/cuda/kernels/gemm/wgmma.cuh). */

import { type Dim, elementCount, mulDims, provablyDivisible } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { isMapExtent, tensorMapAlignment } from '../../launch/tensor-map.js';
import { mergeWalks, printDecode, type Walk, withoutPlainWindows } from '../contraction/source.js';
import type { OperandAxes } from '../contraction/problem.js';
import { type Depth, type LoaderOptions, printLoadHead } from './depth.js';

/** A matrix, or a batch of them, that runs densely along the depth. */
export interface Matrix<D extends Dim = Dim> {
  readonly depth: D;
  readonly rows: D;
  /** In elements. */
  readonly rowStride: D;
  readonly batch: readonly Walk[];
}

export interface MatrixOptions {
  readonly axes: OperandAxes;
  /** Of the first element, in elements. */
  readonly offset: Dim;
  readonly batch: readonly Dim[];
  readonly own: readonly Dim[];
  readonly depth: readonly Dim[];
  /** Bytes of an element. */
  readonly bytes: number;
}

const mostBatches = 3;

/** undefined where no tensor map reads the operand. */
export function matrixOf(o: MatrixOptions): Matrix | undefined {
  const axes = withoutPlainWindows(o.axes);
  if (axes.windows.length > 0) return undefined;
  const none = (): readonly number[] => [];
  const depth = mergeWalks(o.depth, axes.depth, none);
  const own = mergeWalks(o.own, axes.own, none);
  const batch = mergeWalks(o.batch, axes.batch, none);
  const multiple = tensorMapAlignment / o.bytes;
  const moving = batch.filter((b) => b.stride !== 0);
  if (depth.length !== 1 || depth[0]!.stride !== 1 || own.length > 1 || moving.length > mostBatches) return undefined;
  const strides = [...own, ...moving].map((w) => w.stride);
  if (![o.offset, ...strides].every((d) => provablyDivisible(d, multiple))) return undefined;
  // A map has no empty axes, and no steps of zero.
  const extents = [depth[0]!.extent, ...[...own, ...moving].map((w) => w.extent)];
  if (!extents.every(isMapExtent)) return undefined;
  if (own[0]?.stride === 0) return undefined;
  return {
    depth: extents[0]!,
    rows: own[0]?.extent ?? 1,
    rowStride: own[0]?.stride ?? multiple,
    batch,
  };
}

/** What packConstant makes of extents that are known. */
export function packedMatrix(
  batch: readonly Dim[],
  own: readonly Dim[],
  depth: readonly Dim[],
  bytes: number,
): Matrix<number> {
  const [batches, rows, steps] = [batch, own, depth].map((list) => elementCount(list as number[])) as [
    number,
    number,
    number,
  ];
  const multiple = tensorMapAlignment / bytes;
  const rowStride = Math.ceil(steps / multiple) * multiple;
  return { depth: steps, rows, rowStride, batch: batchesOf(batches, rows * rowStride) };
}

export function batchesOf(extent: number, stride: number): readonly Walk[] {
  return extent > 1 ? [{ extent, stride, windows: [] }] : [];
}

export function printMatrix(m: Matrix, depth: Depth, o: LoaderOptions, args: Arguments): string {
  const moving = m.batch.flatMap((b, i) => (b.stride === 0 ? [] : [{ ...b, name: `b${String(i)}` }]));
  const { taps } = depth;
  const channels = taps === 1 ? m.depth : (m.depth as number) / taps;
  const outer = [
    ...(taps === 1 ? [] : [{ extent: taps, stride: channels, name: 'tap', box: 1 }]),
    { extent: m.rows, stride: m.rowStride, name: 'at.row', box: o.rows },
    ...moving.map((b) => ({ ...b, name: `at.${b.name}`, box: 1 })),
  ];
  const map = args.tensorMap({
    operand: o.source,
    elementBytes: o.bytes,
    dims: [channels, ...outer.map((x) => x.extent)],
    strides: outer.map((x) => mulDims(x.stride, o.bytes)),
    box: [o.span / o.bytes, ...outer.map((x) => x.box)],
    swizzle: o.span,
  });
  const at = ['row', ...moving.map((b) => b.name)];
  const load =
    o.multicast === true
      ? `tma_load_multicast(shared, &${map}, barrier, cache_normal, blocks,`
      : `tma_load(shared, &${map}, barrier, cache_normal,`;
  return [
    `struct ${o.name} {`,
    `  using Element = ${o.type};`,
    `  static constexpr bool constant = ${String(o.constant)};`,
    `  struct Place { i32 ${at.join(', ')}; };`,
    '  TW_DEVICE static Place place(const Arguments& a, i32 batch, i32 row) {',
    ...printDecode(m.batch, 'batch', 'b', args).map((l) => `    ${l}`),
    `    return {${at.join(', ')}};`,
    '  }',
    ...printLoadHead(depth, map, o, args),
    `    ${load} channel, ${outer.map((x) => x.name).join(', ')});`,
    '  }',
    '};',
  ].join('\n');
}
