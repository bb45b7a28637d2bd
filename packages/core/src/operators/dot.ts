/** dot: the product of two tensors over labelled dimensions, an einsum of two operands. */

import type { Dim } from '../dim.js';
import { type DType, dtypeInfo, isBig, isInteger } from '../dtype.js';
import { tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { isExactInDouble, multiplyInt32, multiplyInto, numbersOf, offsetsOf, type Operand } from './multiply.js';
import { rowMajorStrides } from './strided.js';

/** Labels of a dot by role. Every label is in two or three of lhs, rhs and out. */
export interface DotRoles {
  /** In lhs, rhs and out. */
  readonly batch: readonly string[];
  /** In lhs and out. */
  readonly rows: readonly string[];
  /** In rhs and out. */
  readonly columns: readonly string[];
  /** In lhs and rhs. */
  readonly contracted: readonly string[];
}

export function dotRoles(lhs: string, rhs: string, out: string): DotRoles {
  return {
    batch: [...out].filter((l) => lhs.includes(l) && rhs.includes(l)),
    rows: [...out].filter((l) => lhs.includes(l) && !rhs.includes(l)),
    columns: [...out].filter((l) => !lhs.includes(l) && rhs.includes(l)),
    contracted: [...lhs].filter((l) => rhs.includes(l) && !out.includes(l)),
  };
}

/** What a contraction of these dtypes gives: integers below 32 bits accumulate in int32. */
export function contractionDType(a: DType, b: DType): DType | undefined {
  const narrow = (d: DType): boolean => isInteger(d) && dtypeInfo(d).bits <= 16;
  if (narrow(a) && narrow(b)) return 'int32';
  return a === b && (isInteger(a) || dtypeInfo(a).class === 'float') ? a : undefined;
}

function inferDot(c: InferContext): ReturnType<Operator['infer']> {
  const lhs = c.attributes['lhs'] as string;
  const rhs = c.attributes['rhs'] as string;
  const out = c.attributes['out'] as string;
  const extents = new Map<string, Dim>();
  for (const [i, labels] of [lhs, rhs].entries()) {
    const dims = c.dims(i);
    if (dims.length !== labels.length)
      c.fail(`the labels '${labels}' need an operand of rank ${String(labels.length)}`);
    if (new Set(labels).size !== labels.length) c.fail(`a label repeats in '${labels}'`);
    [...labels].forEach((label, axis) => {
      const old = extents.get(label);
      extents.set(label, old === undefined ? dims[axis]! : c.agree(old, dims[axis]!, `extents of label '${label}'`));
    });
  }
  if (new Set(out).size !== out.length) c.fail(`a label repeats in '${out}'`);
  for (const label of extents.keys()) {
    const uses = [lhs, rhs, out].filter((s) => s.includes(label)).length;
    if (uses < 2) c.fail(`the label '${label}' occurs once only: reduce that dimension first`);
  }
  const dtype = contractionDType(c.tensor(0).dtype, c.tensor(1).dtype);
  if (dtype === undefined) c.fail('operands must be of one numeric dtype, or both integers of at most 16 bits');
  const dims = [...out].map((label) => extents.get(label) ?? c.fail(`the output label '${label}' is in no operand`));
  return [tensorType(dtype, dims)];
}

function evaluateDot(c: EvaluateContext): Tensor[] {
  const a = c.tensor(0);
  const b = c.tensor(1);
  const lhs = c.attributes['lhs'] as string;
  const rhs = c.attributes['rhs'] as string;
  const out = c.attributes['out'] as string;
  const roles = dotRoles(lhs, rhs, out);
  const extent = (label: string): number =>
    lhs.includes(label) ? a.dims[lhs.indexOf(label)]! : b.dims[rhs.indexOf(label)]!;
  for (const label of [...roles.batch, ...roles.contracted]) {
    const other = b.dims[rhs.indexOf(label)]!;
    if (extent(label) !== other)
      c.fail(`extents of label '${label}': ${String(extent(label))} and ${String(other)} differ`);
  }
  const offsets = (labels: readonly string[], of: string, dims: readonly number[]): Int32Array => {
    const strides = rowMajorStrides(dims);
    return offsetsOf(
      labels.map(extent),
      labels.map((l) => strides[of.indexOf(l)]!),
    );
  };
  const outDims = [...out].map(extent);
  const dtype = contractionDType(a.dtype, b.dtype) ?? c.fail(`cannot multiply ${a.dtype} and ${b.dtype}`);
  const aBatch = offsets(roles.batch, lhs, a.dims);
  const bBatch = offsets(roles.batch, rhs, b.dims);
  const outBatch = offsets(roles.batch, out, outDims);
  const outRows = offsets(roles.rows, out, outDims);
  const outColumns = offsets(roles.columns, out, outDims);
  const aIndex = { outer: offsets(roles.rows, lhs, a.dims), inner: offsets(roles.contracted, lhs, a.dims) };
  const bIndex = { outer: offsets(roles.columns, rhs, b.dims), inner: offsets(roles.contracted, rhs, b.dims) };

  const scatter = <T>(to: { [i: number]: T }, batch: number, block: ArrayLike<T>): void => {
    const base = outBatch[batch]!;
    for (let m = 0, p = 0; m < outRows.length; m++) {
      for (let n = 0; n < outColumns.length; n++) to[base + outRows[m]! + outColumns[n]!] = block[p++]!;
    }
  };
  if (isBig(dtype)) {
    const sum =
      dtype === 'int64' ? new BigInt64Array(elementCount(outDims)) : new BigUint64Array(elementCount(outDims));
    aBatch.forEach((aBase, i) => {
      scatter(sum, i, multiplyBig(a.data as BigInt64Array, aBase, aIndex, b.data as BigInt64Array, bBatch[i]!, bIndex));
    });
    return [new Tensor<DType>(dtype, sum, outDims)];
  }
  const aData = numbersOf(a);
  const bData = numbersOf(b);
  const wraps = (dtype === 'int32' || dtype === 'uint32') && !isExactInDouble(aData, bData, aIndex.inner.length);
  const sum = new Float64Array(elementCount(outDims));
  const block = new Float64Array(outRows.length * outColumns.length);
  aBatch.forEach((aBase, i) => {
    const left: Operand = { data: aData, base: aBase, ...aIndex };
    const right: Operand = { data: bData, base: bBatch[i]!, ...bIndex };
    if (wraps) {
      scatter(sum, i, multiplyInt32(left, right));
    } else {
      block.fill(0);
      multiplyInto(block, left, right);
      scatter(sum, i, block);
    }
  });
  return [fromSums(dtype, sum, outDims)];
}

/** Rounds exact sums to the dtype; 32-bit integers wrap. */
export function fromSums(dtype: DType, sums: Float64Array, dims: readonly number[]): Tensor {
  if (dtype === 'int32') return new Tensor<DType>('int32', new Int32Array(sums), dims);
  if (dtype === 'uint32') return new Tensor<DType>('uint32', new Uint32Array(sums), dims);
  if (dtype === 'float32') return new Tensor<DType>('float32', new Float32Array(sums), dims);
  return tensorFromNumbers(dtype, sums, dims);
}

type Index = Pick<Operand, 'outer' | 'inner'>;

function multiplyBig(
  a: BigInt64Array,
  aBase: number,
  aIndex: Index,
  b: BigInt64Array,
  bBase: number,
  bIndex: Index,
): bigint[] {
  const block: bigint[] = [];
  for (const row of aIndex.outer) {
    for (const column of bIndex.outer) {
      let sum = 0n;
      for (let k = 0; k < aIndex.inner.length; k++)
        sum += a[aBase + row + aIndex.inner[k]!]! * b[bBase + column + bIndex.inner[k]!]!;
      block.push(BigInt.asIntN(64, sum));
    }
  }
  return block;
}

export const dot: Operator = registerOperator({
  name: 'dot',
  kind: 'contraction',
  inputs: ['a', 'b'],
  /** tf32: float32 operands may be rounded to TensorFloat-32 (a mantissa of 10 bits) before they are multiplied. */
  attributes: { lhs: undefined, rhs: undefined, out: undefined, tf32: undefined },
  infer: inferDot,
  evaluate: evaluateDot,
  numerics: { safeIn16Bit: true },
});
