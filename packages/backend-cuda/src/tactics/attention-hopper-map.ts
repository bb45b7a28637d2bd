/** Queries, keys and values as tensor maps, and the text that loads boxes of them (attention_wgmma.cuh). */

import { type Dim, dimBounds, type MemoryView, mulDims, provablyDivisible } from '@tensorwright/core';
import type { Arguments } from '../launch/arguments.js';
import { isMapExtent, tensorMapAlignment } from '../launch/tensor-map.js';

const elementBytes = 2;
const alignment = tensorMapAlignment / elementBytes;
const largestStride = 2 ** 39;

/** Bytes of a line of the swizzle: the most that divides a padded head. */
export function spanOf(size: number): 32 | 64 | 128 {
  return size % 64 === 0 ? 128 : size % 32 === 0 ? 64 : 32;
}

/** Whether a tensor map describes [batch, heads, positions, head size], heads lying densely. */
export function isMappable({ offset, dims, strides }: MemoryView): boolean {
  const outer = [0, 1, 2].filter((axis) => moves(dims[axis]!, strides[axis]!));
  return (
    (strides[3] === 1 || dims[3] === 1) &&
    provablyDivisible(offset, alignment) &&
    dims.every(isMapExtent) &&
    (outer.includes(2) || dims[2] === 1) &&
    outer.every((axis) => {
      const { min, max } = dimBounds(strides[axis]!);
      return min >= 1 && max < largestStride && provablyDivisible(strides[axis]!, alignment);
    })
  );
}

function moves(extent: Dim, stride: Dim): boolean {
  return extent !== 1 && stride !== 0;
}

export interface MappedOperand {
  /** Of the type that is made. */
  readonly name: string;
  readonly input: number;
  readonly view: MemoryView;
  /** Rows of a box. */
  readonly rows: number;
  /** Of a head, padded. */
  readonly size: number;
}

export function printMapped({ name, input, view, rows, size }: MappedOperand, args: Arguments): string {
  const span = spanOf(size);
  const [batch, heads, positions, columns] = view.dims as [Dim, Dim, Dim, Dim];
  const outer = [
    // One position may lie as if there were more of them, one after the other.
    { extent: positions, stride: positions === 1 ? columns : view.strides[2]!, name: 'row', box: rows },
    ...[
      { extent: heads, stride: view.strides[1]!, name: 'head', box: 1 },
      { extent: batch, stride: view.strides[0]!, name: 'batch', box: 1 },
    ].filter((axis) => moves(axis.extent, axis.stride)),
  ];
  const map = args.tensorMap({
    operand: { kind: 'input', index: input },
    elementBytes,
    dims: [columns, ...outer.map((axis) => axis.extent)],
    strides: outer.map((axis) => mulDims(axis.stride, elementBytes)),
    box: [span / elementBytes, ...outer.map((axis) => axis.box)],
    swizzle: span,
  });
  return [
    `struct ${name} {`,
    `  static constexpr int span = ${String(span)};`,
    `  TW_DEVICE static void prefetch(const Arguments& a) { prefetch_tensor_map(&${map}); }`,
    '  TW_DEVICE static void load(const Arguments& a, void* shared, u64* barrier, i32 column, [[maybe_unused]] i32 row,',
    '                             [[maybe_unused]] i32 head, [[maybe_unused]] i32 batch) {',
    `    tma_load(shared, &${map}, barrier, cache_normal, column, ${outer.map((axis) => axis.name).join(', ')});`,
    '  }',
    '};',
  ].join('\n');
}
