/** Constant operands as the kernels like them best: dense over batch, rows and depth (or depth and rows), zero-padded. */

import { type Dim, dtypeInfo, elementCount, memoByKind, rowMajorStrides, Tensor } from '@tensorwright/core';
import { denseView } from '../dense-view.js';
import type { Operand, OperandAxes, Problem, Window } from './problem.js';

export interface Packed {
  readonly tensor: Tensor;
  readonly axes: OperandAxes;
}

/** Which axis is innermost; its extent is rounded up to a multiple of `multiple`. */
export interface PackOrder {
  readonly inner: 'depth' | 'own';
  readonly multiple: number;
}

type Words = Uint8Array | Uint16Array | Uint32Array | BigUint64Array;

const packedOf = memoByKind<Tensor, Packed>();

/** undefined where the problem's extents are not all known, as far as the operand has them. */
export function packConstant(
  tensor: Tensor,
  operand: Operand,
  problem: Problem,
  own: readonly Dim[],
  order: PackOrder,
): Packed | undefined {
  const extents = [problem.batch, own, problem.depth];
  if (!extents.every((list) => list.every((d) => typeof d === 'number'))) return undefined;
  const [batch, rows, depth] = extents as [number[], number[], number[]];
  const axes = operand.axes(denseView(tensor.dims));
  const key = JSON.stringify([order, batch, rows, depth, axes]);
  return packedOf(tensor, key, () => pack(tensor, axes, batch, rows, depth, order));
}

function pack(
  tensor: Tensor,
  axes: OperandAxes,
  batch: readonly number[],
  own: readonly number[],
  depth: readonly number[],
  order: PackOrder,
): Packed {
  const bytesOfElement = dtypeInfo(tensor.dtype).bits / 8;
  const from = words(tensor.bytes, bytesOfElement);
  const [batches, rows, steps] = [batch, own, depth].map(elementCount) as [number, number, number];
  const outer = order.inner === 'depth' ? rows : steps;
  const inner = order.inner === 'depth' ? steps : rows;
  const pitch = Math.ceil(inner / order.multiple) * order.multiple;
  const bytes = new Uint8Array(Math.max(1, batches * outer * pitch) * bytesOfElement);
  const to = words(bytes, bytesOfElement);
  const rowOffsets = offsets(own, axes.own);
  const batchOffsets = offsets(batch, axes.batch);
  for (let b = 0; b < batches; b++) {
    // Windows of a constant depend on the batch and the depth alone: -1 where a tap does not exist.
    const depthOffsets = windowOffsets(axes, depth, coordinates(b, batch));
    const base = batchOffsets[b]!;
    for (let o = 0; o < outer; o++) {
      const at = (b * outer + o) * pitch;
      for (let i = 0; i < inner; i++) {
        const step = depthOffsets[order.inner === 'depth' ? i : o]!;
        if (step >= 0) to[at + i] = from[base + rowOffsets[order.inner === 'depth' ? o : i]! + step]!;
      }
    }
  }
  const alongDepth = order.inner === 'depth';
  const ofPacked = (list: readonly number[], step: number): number[] => rowMajorStrides(list).map((s) => s * step);
  return {
    tensor: new Tensor('uint8', bytes, [bytes.length]),
    axes: {
      batch: ofPacked(batch, outer * pitch),
      own: ofPacked(own, alongDepth ? pitch : 1),
      depth: ofPacked(depth, alongDepth ? 1 : pitch),
      windows: [],
    },
  };
}

function words(bytes: Uint8Array, size: number): Words {
  const whole = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const [buffer, offset, length] = [whole.buffer, whole.byteOffset, whole.byteLength / size];
  if (size === 1) return new Uint8Array(buffer, offset, length);
  if (size === 2) return new Uint16Array(buffer, offset, length);
  return size === 4 ? new Uint32Array(buffer, offset, length) : new BigUint64Array(buffer, offset, length);
}

function coordinates(index: number, extents: readonly number[]): number[] {
  const result: number[] = [];
  for (let i = extents.length - 1, rest = index; i >= 0; i--) {
    result[i] = rest % extents[i]!;
    rest = Math.floor(rest / extents[i]!);
  }
  return result;
}

function offsets(extents: readonly number[], strides: readonly Dim[]): Float64Array {
  return Float64Array.from({ length: elementCount(extents) }, (_, index) =>
    coordinates(index, extents).reduce((sum, c, i) => sum + c * (strides[i] as number), 0),
  );
}

function windowOffsets(axes: OperandAxes, depth: readonly number[], batch: readonly number[]): Float64Array {
  const baseOf = ({ base }: Window): number =>
    typeof base === 'number' ? base : 'values' in base ? base.values[batch[base.batch]!]! : 0;
  return offsets(depth, axes.depth).map((plain, index) => {
    const at = coordinates(index, depth);
    let sum = plain;
    for (const w of axes.windows) {
      const place = at[w.depth]! * w.depthStep + baseOf(w);
      if (place < 0 || place >= (w.extent as number)) return -1;
      sum += place * (w.stride as number);
    }
    return sum;
  });
}
