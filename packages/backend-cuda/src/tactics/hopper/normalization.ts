/**
 * Rows that are normalized on their way to a product (native/cuda/kernels/gemm/row_moments.cuh): the scale goes into the
 * weights, the moments come from the tiles that are multiplied, and the product is shifted and scaled afterwards.
 */

import {
  anchorArg,
  constantOf,
  type DType,
  elementCount,
  type GroupView,
  readNumbers,
  type Scalar,
  type Tensor,
  tensorFromNumbers,
  type TensorType,
} from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { problemOf } from '../contraction/group.js';
import { denseView } from '../dense-view.js';
import type { Problem } from '../contraction/problem.js';
import { dtypeOf, sameExtents } from '../operands.js';

export interface NormalizedRows {
  /** The product, as if it read the rows as they are. */
  readonly product: GroupView;
  readonly centred: boolean;
  readonly epsilon: number;
  readonly scale: Tensor;
  readonly shift: Tensor | undefined;
}

/** Beyond it, making the weights would hold up the process. */
const mostWeights = 1 << 24;
const norms = new Set(['layerNorm', 'rmsNorm']);

/** What a chain of a normalization and a product computes, or why no kernel does. */
export function normalizedRowsOf(chain: GroupView): NormalizedRows | string {
  const [norm, last] = chain.parts;
  if (chain.parts.length !== 2 || chain.outputs.length !== 1) return 'no normalized product';
  if (!norms.has(norm?.anchor?.op ?? '') || last?.anchor?.op !== 'dot') return 'no normalized product';
  const { anchor, anchorInputs } = norm!;
  const [x, scaleAt, shiftAt] = anchorInputs;
  const { dtype, dims } = anchor!.inputs[0]!.type as TensorType;
  if (x === undefined || x < 0 || norm!.outputs.length !== 1) return 'the rows are computed';
  if (dtype !== 'float16' && dtype !== 'bfloat16') return 'only rows of 16-bit floats';
  if (dtypeOf(norm!.outputs[0]) !== dtype || !isPlain(norm!)) return 'more than a normalization';
  const { axis, epsilon } = anchor!.attributes as { axis: number; epsilon: number };
  const length = dims!.at(-1);
  if (typeof length !== 'number' || (axis !== -1 && axis !== dims!.length - 1)) return 'not of whole rows';
  const scale = rowConstant(chain, scaleAt, length);
  const shift = rowConstant(chain, shiftAt, length);
  if (!scale || (shiftAt !== undefined && !shift)) return 'a scale or shift that is not known';
  const product = { ...last, anchorInputs: last.anchorInputs.map((i) => (i === -1 ? x : i)), outputs: chain.outputs };
  const reason = refuseProduct(last, product, x, anchor!.inputs[0]!.type as TensorType);
  return reason ?? { product, centred: anchor!.op === 'layerNorm', epsilon, scale, shift };
}

function rowConstant(chain: GroupView, input: number | undefined, length: number): Tensor | undefined {
  const tensor = input === undefined ? undefined : constantOf(chain.node.inputs[input]);
  return tensor && elementCount(tensor.dims) === length && tensor.dims.at(-1) === length ? tensor : undefined;
}

/** @param product `last` as if it read the rows as they are, operand `x` */
function refuseProduct(last: GroupView, product: GroupView, x: number, rows: TensorType): string | undefined {
  const { attributes, inputs } = last.anchor!;
  const computed = last.anchorInputs.indexOf(-1);
  if (computed < 0 || last.anchorInputs.lastIndexOf(-1) !== computed) return 'not a product of the rows';
  if (!sameExtents(rows.dims!, (inputs[computed]!.type as TensorType).dims!)) return 'the rows change their shape';
  const along = (attributes[computed === 0 ? 'lhs' : 'rhs'] as string).at(-1)!;
  const { left, right, depth, batch } = problemOf(product);
  const isWhole = depth.length === 1 && !(attributes['out'] as string).includes(along);
  if (left.input !== x || !isWhole || batch.some((d) => d !== 1)) return 'not a product of whole rows';
  const weights = constantOf(product.node.inputs[right.input]);
  if (weights?.dtype !== rows.dtype || elementCount(weights.dims) > mostWeights) return 'no weights to scale';
  return undefined;
}

/** Nothing but the normalization, and perhaps a cast back to the rows' type. */
function isPlain(norm: GroupView): boolean {
  let e: Scalar = norm.expressions()[0]!;
  if (e.op === 'cast') [e] = e.args;
  return e.op === 'arg' && e.index === anchorArg(norm);
}

interface Folded {
  readonly weights: Tensor;
  /** Of every column, in float32. */
  readonly sums: Float64Array;
  readonly shift: Float64Array;
}

interface Entry {
  readonly scale: Tensor;
  readonly shift: Tensor | undefined;
  /** Which axes are columns, and which the depth. */
  readonly axes: string;
  readonly folded: Folded;
}

/** By weights: candidates of one problem ask again and again. */
const cache = new WeakMap<Tensor, Entry[]>();

/** The weights with the scale in them, what their columns sum up to, and what the shift becomes. */
function fold(rows: NormalizedRows, problem: Problem): Folded {
  const weights = constantOf(rows.product.node.inputs[problem.right.input])!;
  const { scale, shift } = rows;
  const axes = JSON.stringify(problem.right.axes(denseView(weights.dims)));
  let entries = cache.get(weights);
  if (!entries) cache.set(weights, (entries = []));
  let entry = entries.find((e) => e.scale === scale && e.shift === shift && e.axes === axes);
  if (!entry) entries.push((entry = { scale, shift, axes, folded: foldWeights(weights, rows, problem) }));
  return entry.folded;
}

function foldWeights(weights: Tensor, { scale, shift }: NormalizedRows, problem: Problem): Folded {
  const { own, depth } = problem.right.axes(denseView(weights.dims));
  const values = readNumbers(weights);
  const factors = readNumbers(scale);
  const offsets = shift && readNumbers(shift);
  const extents = problem.columns as readonly number[];
  const columns = elementCount(extents);
  const places = columnPlaces(extents, own as readonly number[]);
  const moved = new Float64Array(columns);
  const scaled = new Float64Array(values.length);
  factors.forEach((factor, k) => {
    for (let n = 0; n < columns; n++) {
      const at = places[n]! + k * (depth[0] as number);
      scaled[at] = values[at]! * factor;
      if (offsets) moved[n]! += values[at]! * offsets[k]!;
    }
  });
  const tensor = tensorFromNumbers(weights.dtype, scaled, weights.dims);
  // Of the weights as they are multiplied, so that a row of equal elements comes to nothing.
  const rounded = readNumbers(tensor);
  const sums = new Float64Array(columns);
  for (let k = 0; k < factors.length; k++)
    for (let n = 0; n < columns; n++) sums[n]! += rounded[places[n]! + k * (depth[0] as number)]!;
  return { weights: tensor, sums, shift: moved };
}

/** Where the columns begin, in their order. */
function columnPlaces(extents: readonly number[], strides: readonly number[]): number[] {
  let places = [0];
  extents.forEach((extent, axis) => {
    places = places.flatMap((p) => Array.from({ length: extent }, (_, i) => p + i * strides[axis]!));
  });
  return places;
}

export function scaledProblem(rows: NormalizedRows, problem: Problem): Problem {
  return { ...problem, right: { ...problem.right, instead: () => fold(rows, problem).weights } };
}

/** The type `Normalization` of a contraction; of rows that are taken as they are where there is none. */
export function printNormalization(rows: NormalizedRows | undefined, problem: Problem, args: Arguments): string {
  if (!rows) return 'struct Normalization { static constexpr bool normalized = false; };';
  const { sums, shift } = fold(rows, problem);
  const pointer = (values: Float64Array): string => args.constant(padded(values), 'f32');
  return `struct Normalization {
  static constexpr bool normalized = true, centred = ${String(rows.centred)};
  static constexpr f32 epsilon = ${rows.epsilon.toExponential()}f;
  TW_DEVICE static i32 extent(const Arguments& a) { return ${args.dim(problem.depth[0]!)}; }
  TW_DEVICE static const f32* sums(const Arguments& a) { return ${rows.centred ? pointer(sums) : 'nullptr'}; }
  TW_DEVICE static const f32* shift(const Arguments& a) { return ${rows.shift ? pointer(shift) : 'nullptr'}; }
};`;
}

const widestTile = 256;
const tensors = new WeakMap<Float64Array, Tensor>();

/** With zeros for a tile beyond the last column. */
function padded(values: Float64Array): Tensor {
  let tensor = tensors.get(values);
  if (!tensor) {
    const longer = new Float64Array(Math.ceil(values.length / 4) * 4 + widestTile);
    longer.set(values);
    const dtype: DType = 'float32';
    tensors.set(values, (tensor = tensorFromNumbers(dtype, longer, [longer.length])));
  }
  return tensor;
}
