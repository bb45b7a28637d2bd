/** TopkLastDim: the largest or smallest elements along an axis. */

import {
  addDims,
  ceilDivDims,
  type Dim,
  dimBounds,
  mulDims,
  productOf,
  readNumbers,
  tensorFromNumbers,
} from '@tensorwright/core';
import { definePlugin } from '../define-plugin.js';
import { field, type Field, type FieldValues, type OptionalField } from '../fields.js';
import { arg } from '../launch-argument.js';
import type { KernelTensor, Launch, LaunchArgument } from '../cuda-implementation.js';
import type { Plugin } from '../plugin.js';
import { counterBytes, edgeLimit, source, uses } from './topk-last-dim-kernel.js';
import { powerOfTwoFrom } from './power-of-two.js';
import { widthOf } from './vector-access.js';

/** Rows up to this size are taken whole: a warp picks up to `mostPicked` one after the other, or a block sorts them. */
const mostWhole = 1024;
const mostPicked = 32;
/** Elements that a block of the ways for long rows looks at; keys that the tiles of a row may list. */
const tile = 4096;
const mostListed = 16384;
/** Rows of which each may have many blocks: each needs scratch memory. */
const mostGridRows = 1024;
/** Keys that a block sorts in shared memory. */
const mostShared = 4096;

type TopkFields = {
  readonly type_id: OptionalField<number>;
  readonly k: Field<number>;
  readonly is_largest: OptionalField<number>;
  readonly axis: OptionalField<number>;
};

type TopkLastDim = Plugin<readonly ['input'], readonly ['values', 'indices'], TopkFields>;

interface Rows {
  readonly count: Dim;
  /** Of a row. */
  readonly size: Dim;
  /** From an element of a row to the next. */
  readonly inner: Dim;
}

function rowsOf(dims: readonly Dim[], axis: number): Rows {
  const at = axis < 0 ? axis + dims.length : axis;
  const inner = productOf(dims.slice(at + 1));
  return { count: mulDims(productOf(dims.slice(0, at)), inner), size: dims[at]!, inner };
}

/** Bytes of scratch memory for the keys of all rows, twice as many as are wanted so that the next power of two fits. */
function keyBytes(rows: Rows, k: number): Dim {
  return mulDims(rows.count, 16 * k);
}

/** Where rows are many, a block each keeps the device at work; else many blocks may share a row. */
function wayOf(rows: Rows, k: number, tactic: string): 'whole' | 'block' | 'tiles' | 'grid' {
  const { max } = dimBounds(rows.size);
  if (max <= mostWhole) return 'whole';
  if (tactic === 'block' || dimBounds(rows.count).max > mostGridRows) return 'block';
  return tactic === 'tiles' && k <= mostShared && Math.ceil(max / tile) * k <= mostListed ? 'tiles' : 'grid';
}

function listed(rows: Rows, k: number): Dim {
  return mulDims(ceilDivDims(rows.size, tile), k);
}

function scratchBytes(rows: Rows, k: number, tactic: string): Dim {
  const way = wayOf(rows, k, tactic);
  if (way === 'whole') return 0;
  if (way === 'block') return k > mostShared ? keyBytes(rows, k) : 0;
  if (way === 'tiles') return mulDims(mulDims(rows.count, listed(rows, k)), 8);
  return addDims(keyBytes(rows, k), mulDims(rows.count, edgeLimit * 8 + counterBytes));
}

interface Operands {
  readonly input: KernelTensor;
  readonly values: KernelTensor;
  readonly indices: KernelTensor;
}

function launchesOf(operands: Operands, rows: Rows, fields: FieldValues<TopkFields>, tactic: string): Launch[] {
  const { k } = fields;
  const { input, values, indices } = operands;
  const isLargest = fields.is_largest === 1;
  const longest = dimBounds(rows.size).max;
  const all = [rows.count, rows.size, k, rows.inner];
  const way = wayOf(rows, k, tactic);
  if (way === 'whole' && k <= mostPicked) {
    const block = 128;
    return [
      {
        kernel: `pick_rows<${[block, Math.ceil(Math.max(longest, 1) / 32), isLargest].join(', ')}>`,
        grid: ceilDivDims(rows.count, block / 32),
        block,
        arguments: [input, values, indices, ...all],
      },
    ];
  }
  if (way === 'whole') {
    const padded = powerOfTwoFrom(longest);
    const group = Math.max(32, padded / 2);
    const block = Math.max(128, group);
    return [
      {
        kernel: `sort_rows<${[block, group, padded, isLargest].join(', ')}>`,
        grid: ceilDivDims(rows.count, block / group),
        block,
        arguments: [input, values, indices, ...all],
      },
    ];
  }
  const width = rows.inner === 1 ? widthOf(input.dtype, rows.size) : 1;
  const inScratch = k > mostShared;
  const capacity = inScratch ? 1 : powerOfTwoFrom(Math.max(k, 2));
  if (way === 'block') {
    const block = longest <= 8192 ? 256 : 1024;
    return [
      {
        kernel: `select_rows<${[block, capacity, width, isLargest].join(', ')}>`,
        grid: rows.count,
        block,
        arguments: [input, values, indices, inScratch ? arg.workspace() : undefined, ...all],
      },
    ];
  }
  const parts: Launch['grid'] = [ceilDivDims(rows.size, tile), rows.count];
  const partWay = `<${[256, tile, width, isLargest].join(', ')}>`;
  if (way === 'tiles') {
    const block = 1024;
    return [
      {
        kernel: `list_tiles${partWay}`,
        grid: parts,
        block: 256,
        arguments: [input, arg.workspace(), rows.size, k, rows.inner],
      },
      {
        kernel: `merge_tiles<${[block, capacity, isLargest].join(', ')}>`,
        grid: rows.count,
        block,
        arguments: [input, values, indices, arg.workspace(), listed(rows, k), ...all],
      },
    ];
  }
  const chosen = arg.workspace();
  const edges = arg.workspace(keyBytes(rows, k));
  const counters = arg.workspace(addDims(keyBytes(rows, k), mulDims(rows.count, edgeLimit * 8)));
  const shared = (kernel: string, ...rest: LaunchArgument[]): Launch => ({
    kernel: `${kernel}${partWay}`,
    grid: parts,
    block: 256,
    arguments: [input, counters, ...rest, rows.size, k, rows.inner],
  });
  return [
    {
      kernel: 'reset_counters',
      grid: ceilDivDims(mulDims(rows.count, counterBytes / 4), 1024),
      block: 1024,
      arguments: [counters, rows.count],
    },
    shared('count_first'),
    shared('count_second'),
    shared('collect', chosen, edges),
    {
      kernel: `finish_rows<${[1024, capacity, width, isLargest].join(', ')}>`,
      grid: rows.count,
      block: 1024,
      arguments: [input, values, indices, counters, chosen, edges, inScratch, ...all],
    },
  ];
}

/**
 * The k largest or smallest elements along an axis, and where they are.
 *
 * - `input`: any shape of rank 1 or more; float32, float16, bfloat16 or int32.
 * - `values`: like input, with k elements along the axis, the best first. Equal ones go by index, the smaller first; NaN is
 *   larger than any number.
 * - `indices`: of the shape of values, int32: places along the axis.
 *   Where a run has fewer than k elements along the axis, the values left over are 0, their indices -1.
 * - `k`: at least 1; needed. `is_largest` (1): 0 for the smallest. `axis` (-1): also any other;
 *   the last one is the fastest. `type_id`: accepted for TensorRT's sake; the input's dtype says the same.
 *
 * Tactics: a block a row; many blocks, of which each takes the best of a tile; many that count digits together.
 * Source: TopK of ONNX; NVIDIA/TensorRT, plugin/topkLastDimPlugin.
 */
export const topkLastDim: TopkLastDim = definePlugin({
  name: 'TopkLastDim',
  fields: { type_id: field.int(0), k: field.int(), is_largest: field.int(1), axis: field.int(-1) },
  inputs: ['input'],
  outputs: ['values', 'indices'],
  infer({ inputs: { input }, fields: { k, is_largest, axis }, fail }) {
    const { dtype, dims } = input;
    if (!['float32', 'float16', 'bfloat16', 'int32'].includes(dtype))
      fail(`input must be float32, float16, bfloat16 or int32, is ${dtype}`);
    if (axis < -dims.length || axis >= dims.length)
      fail(`axis ${String(axis)} is not one of ${String(dims.length)} axes`);
    if (![0, 1].includes(is_largest)) fail(`is_largest must be 0 or 1, is ${String(is_largest)}`);
    const at = axis < 0 ? axis + dims.length : axis;
    const { max } = dimBounds(dims[at]!);
    if (k < 1 || k > max) fail(`k must be from 1 to the ${String(max)} elements along the axis, is ${String(k)}`);
    const picked = dims.with(at, k);
    return { values: { dtype, dims: picked }, indices: { dtype: 'int32', dims: picked } };
  },
  cuda: {
    source,
    uses,
    dtypes: ['float32', 'float16', 'bfloat16', 'int32'],
    tactics: ['block', 'tiles', 'grid'],
    workspaceBytes: ({ inputs: { input }, fields: { k, axis }, tactic }) =>
      scratchBytes(rowsOf(input.dims, axis), k, tactic),
    launches: ({ inputs: { input }, outputs: { values, indices }, fields, tactic }) =>
      launchesOf({ input, values, indices }, rowsOf(input.dims, fields.axis), fields, tactic),
  },
  cpu({ input }, { k, is_largest, axis }) {
    const rows = rowsOf(input.dims, axis) as { readonly [K in keyof Rows]: number };
    const numbers = readNumbers(input);
    const values = new Float64Array(rows.count * k);
    const indices = new Int32Array(values.length).fill(-1);
    const sign = is_largest === 1 ? -1 : 1;
    for (let row = 0; row < rows.count; row++) {
      const [outer, within] = [Math.floor(row / rows.inner), row % rows.inner];
      const elements = Float64Array.from(
        { length: rows.size },
        (_, i) => numbers[(outer * rows.size + i) * rows.inner + within]!,
      );
      const order = Int32Array.from(elements.keys()).sort((a, b) => sign * rising(elements[a]!, elements[b]!) || a - b);
      for (let i = 0; i < Math.min(k, rows.size); i++) {
        const to = (outer * k + i) * rows.inner + within;
        values[to] = elements[order[i]!]!;
        indices[to] = order[i]!;
      }
    }
    const dims = input.dims.with(axis, k);
    return { values: tensorFromNumbers(input.dtype, values, dims), indices };
  },
});

/** For sorting: NaN is above all. */
function rising(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a - b;
}
