/**
 * Scalar expressions: what a map operator computes for one element. Written once per operator; printed as a CPU
 * tape or as CUDA, and evaluated in TypeScript. Expressions are plain trees that may share nodes.
 */

import { type DType, dtypeInfo } from './dtype.js';
import { invariant } from './errors.js';

export const unaryScalarOps = [
  'neg',
  'abs',
  'sign',
  'floor',
  'ceil',
  'round',
  'trunc',
  'sqrt',
  'exp',
  'log',
  'sin',
  'cos',
  'tan',
  'asin',
  'acos',
  'atan',
  'sinh',
  'cosh',
  'tanh',
  'asinh',
  'acosh',
  'atanh',
  'erf',
  'sigmoid',
  'reciprocal',
  'isnan',
  'isposinf',
  'isneginf',
  'not',
  'bitnot',
] as const;
export const binaryScalarOps = [
  'add',
  'sub',
  'mul',
  'div',
  'mod',
  'fmod',
  'pow',
  'min',
  'max',
  'and',
  'or',
  'xor',
  'bitand',
  'bitor',
  'bitxor',
  'shl',
  'shr',
  'eq',
  'ne',
  'lt',
  'le',
  'gt',
  'ge',
] as const;

export type UnaryScalarOp = (typeof unaryScalarOps)[number];
export type BinaryScalarOp = (typeof binaryScalarOps)[number];

/**
 * Integers wrap as their dtype does; `div` of integers truncates towards zero, `mod` has the divisor's sign, `fmod`
 * the dividend's; `round` is half to even; `min` and `max` propagate NaN; comparisons and `and`/`or`/`not` give bool.
 */
export type Scalar =
  | { readonly op: 'arg'; readonly index: number; readonly dtype: DType }
  | { readonly op: 'const'; readonly value: number | bigint; readonly dtype: DType }
  | { readonly op: UnaryScalarOp; readonly args: readonly [Scalar]; readonly dtype: DType }
  | { readonly op: BinaryScalarOp; readonly args: readonly [Scalar, Scalar]; readonly dtype: DType }
  | { readonly op: 'select'; readonly args: readonly [Scalar, Scalar, Scalar]; readonly dtype: DType }
  /** Conversion as ONNX's Cast; `saturate` concerns the 8-bit floats, `roundMode` float8e8m0. `clamp` saturates integers too (quantization). */
  | {
      readonly op: 'cast';
      readonly args: readonly [Scalar];
      readonly dtype: DType;
      readonly saturate: boolean;
      readonly roundMode?: 'up' | 'down' | 'nearest';
    };

const comparisons = new Set<string>(['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'and', 'or', 'xor']);
const predicates = new Set<string>(['isnan', 'isposinf', 'isneginf', 'not']);

export const scalar = {
  arg: (index: number, dtype: DType): Scalar => ({ op: 'arg', index, dtype }),
  /** The literal in the given dtype; bigint for 64-bit integers is made here. */
  constant: (value: number | bigint, dtype: DType): Scalar => ({ op: 'const', value, dtype }),
  unary: (op: UnaryScalarOp, a: Scalar): Scalar => ({ op, args: [a], dtype: predicates.has(op) ? 'bool' : a.dtype }),
  binary: (op: BinaryScalarOp, a: Scalar, b: Scalar): Scalar => {
    invariant(
      a.dtype === b.dtype || op === 'pow' || op === 'shl' || op === 'shr',
      `scalar ${op} of ${a.dtype} and ${b.dtype}`,
    );
    return { op, args: [a, b], dtype: comparisons.has(op) ? 'bool' : a.dtype };
  },
  select: (condition: Scalar, a: Scalar, b: Scalar): Scalar => {
    invariant(
      condition.dtype === 'bool' && a.dtype === b.dtype,
      `scalar select of ${condition.dtype}, ${a.dtype}, ${b.dtype}`,
    );
    return { op: 'select', args: [condition, a, b], dtype: a.dtype };
  },
  cast: (a: Scalar, dtype: DType, saturate = true, roundMode?: 'up' | 'down' | 'nearest'): Scalar =>
    a.dtype === dtype
      ? a
      : roundMode === undefined
        ? { op: 'cast', args: [a], dtype, saturate }
        : { op: 'cast', args: [a], dtype, saturate, roundMode },
};

/** Operands of an expression; none for leaves. */
export function scalarArgs(e: Scalar): readonly Scalar[] {
  return e.op === 'arg' || e.op === 'const' ? [] : e.args;
}

/** Replaces every `arg` leaf. Shared nodes stay shared. */
export function substituteArgs(e: Scalar, replace: (index: number, dtype: DType) => Scalar): Scalar {
  const memo = new Map<Scalar, Scalar>();
  const visit = (x: Scalar): Scalar => {
    const known = memo.get(x);
    if (known) return known;
    let result: Scalar;
    if (x.op === 'arg') result = replace(x.index, x.dtype);
    else if (x.op === 'const') result = x;
    else result = { ...x, args: x.args.map(visit) } as unknown as Scalar;
    memo.set(x, result);
    return result;
  };
  return visit(e);
}

/** The domain a dtype is computed in: see the native library's tape. */
export type ScalarDomain = 'f32' | 'f64' | 'i64' | 'u64';

export function domainOf(dtype: DType): ScalarDomain {
  if (dtype === 'float64') return 'f64';
  if (dtype === 'uint64') return 'u64';
  return dtypeInfo(dtype).class === 'float' ? 'f32' : 'i64';
}
