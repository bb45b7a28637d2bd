/** What each scalar operation computes on one element: on doubles, and on bigints for the 64-bit integers. */

import { type DType, dtypeInfo, isFloat } from './dtype.js';
import { roundHalfEven } from './float-formats.js';
import type { BinaryScalarOp, UnaryScalarOp } from './scalar.js';
import { erf, floorMod, pow, sigmoid } from './special-functions.js';

/** For operands of any dtype but the 64-bit integers. Predicates give 0 or 1; the caller wraps integer results. */
export function numberUnary(op: UnaryScalarOp, dtype: DType): (x: number) => number {
  const whole = !isFloat(dtype);
  switch (op) {
    case 'neg':
      return (x) => -x;
    case 'abs':
      return Math.abs;
    case 'sign':
      return Math.sign;
    case 'floor':
      return Math.floor;
    case 'ceil':
      return Math.ceil;
    case 'round':
      return roundHalfEven;
    case 'trunc':
      return Math.trunc;
    case 'sqrt':
      return Math.sqrt;
    case 'exp':
      return Math.exp;
    case 'log':
      return Math.log;
    case 'sin':
      return Math.sin;
    case 'cos':
      return Math.cos;
    case 'tan':
      return Math.tan;
    case 'asin':
      return Math.asin;
    case 'acos':
      return Math.acos;
    case 'atan':
      return Math.atan;
    case 'sinh':
      return Math.sinh;
    case 'cosh':
      return Math.cosh;
    case 'tanh':
      return Math.tanh;
    case 'asinh':
      return Math.asinh;
    case 'acosh':
      return Math.acosh;
    case 'atanh':
      return Math.atanh;
    case 'erf':
      return erf;
    case 'sigmoid':
      return sigmoid;
    case 'reciprocal':
      return whole ? (x) => (x === 0 ? 0 : Math.trunc(1 / x)) : (x) => 1 / x;
    case 'isnan':
      return (x) => (Number.isNaN(x) ? 1 : 0);
    case 'isposinf':
      return (x) => (x === Infinity ? 1 : 0);
    case 'isneginf':
      return (x) => (x === -Infinity ? 1 : 0);
    case 'not':
      return (x) => (x === 0 ? 1 : 0);
    case 'bitnot':
      return (x) => ~x;
  }
}

/** As `numberUnary`; `right` is the dtype of the second operand, which differs for pow and shifts. */
export function numberBinary(op: BinaryScalarOp, dtype: DType, right: DType): (x: number, y: number) => number {
  const whole = !isFloat(dtype);
  switch (op) {
    case 'add':
      return (x, y) => x + y;
    case 'sub':
      return (x, y) => x - y;
    case 'mul':
      return whole ? Math.imul : (x, y) => x * y;
    case 'div':
      return whole ? (x, y) => (y === 0 ? 0 : Math.trunc(x / y)) : (x, y) => x / y;
    case 'mod':
      return whole ? (x, y) => (y === 0 ? 0 : floorMod(x, y)) : floorMod;
    case 'fmod':
      return whole ? (x, y) => (y === 0 ? 0 : x % y) : (x, y) => x % y;
    case 'pow':
      return whole ? (isFloat(right) ? wholeToRealPower : wholePower) : pow;
    case 'min':
      return Math.min;
    case 'max':
      return Math.max;
    case 'and':
      return (x, y) => (x !== 0 && y !== 0 ? 1 : 0);
    case 'or':
      return (x, y) => (x !== 0 || y !== 0 ? 1 : 0);
    case 'xor':
      return (x, y) => ((x !== 0) === (y !== 0) ? 0 : 1);
    case 'bitand':
      return (x, y) => x & y;
    case 'bitor':
      return (x, y) => x | y;
    case 'bitxor':
      return (x, y) => x ^ y;
    case 'shl': {
      const { bits } = dtypeInfo(dtype);
      return (x, y) => (y < 0 || y >= bits ? 0 : x << y);
    }
    case 'shr': {
      const { bits } = dtypeInfo(dtype);
      return (x, y) => (y < 0 || y >= bits ? (x < 0 ? -1 : 0) : Math.floor(x / 2 ** y));
    }
    case 'eq':
      return (x, y) => (x === y ? 1 : 0);
    case 'ne':
      return (x, y) => (x === y ? 0 : 1);
    case 'lt':
      return (x, y) => (x < y ? 1 : 0);
    case 'le':
      return (x, y) => (x <= y ? 1 : 0);
    case 'gt':
      return (x, y) => (x > y ? 1 : 0);
    case 'ge':
      return (x, y) => (x >= y ? 1 : 0);
  }
}

/** Modulo 2^32, which the block then narrows; a negative exponent gives the truncated reciprocal. */
function wholePower(base: number, exponent: number): number {
  if (exponent < 0) return base === 1 ? 1 : base === -1 ? (exponent % 2 === 0 ? 1 : -1) : 0;
  let result = 1;
  let square = base;
  for (let n = exponent; n > 0; n = Math.floor(n / 2)) {
    if (n % 2 === 1) result = Math.imul(result, square);
    square = Math.imul(square, square);
  }
  return result;
}

function wholeToRealPower(base: number, exponent: number): number {
  return Number.isInteger(exponent) ? wholePower(base, exponent) : truncateToInt32(pow(base, exponent));
}

/** For int64 and uint64. Predicates give numbers, everything else bigints that the caller wraps. */
export function bigUnary(op: UnaryScalarOp): (x: bigint) => bigint | number {
  switch (op) {
    case 'neg':
      return (x) => -x;
    case 'abs':
      return (x) => (x < 0n ? -x : x);
    case 'sign':
      return (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n);
    case 'floor':
    case 'ceil':
    case 'round':
    case 'trunc':
      return (x) => x;
    case 'bitnot':
      return (x) => ~x;
    case 'not':
      return (x) => (x === 0n ? 1 : 0);
    case 'isnan':
    case 'isposinf':
    case 'isneginf':
      return () => 0;
    default: {
      // Real functions of 64-bit integers: computed in double and truncated.
      const f = numberUnary(op, 'float64');
      return (x) => truncateToInt64(f(Number(x)));
    }
  }
}

export function bigBinary(op: BinaryScalarOp): (x: bigint, y: bigint) => bigint | number {
  switch (op) {
    case 'add':
      return (x, y) => x + y;
    case 'sub':
      return (x, y) => x - y;
    case 'mul':
      return (x, y) => x * y;
    case 'div':
      return (x, y) => (y === 0n ? 0n : x / y);
    case 'mod':
      return bigFloorMod;
    case 'fmod':
      return (x, y) => (y === 0n ? 0n : x % y);
    case 'pow':
      return bigPower;
    case 'min':
      return (x, y) => (x < y ? x : y);
    case 'max':
      return (x, y) => (x > y ? x : y);
    case 'bitand':
      return (x, y) => x & y;
    case 'bitor':
      return (x, y) => x | y;
    case 'bitxor':
      return (x, y) => x ^ y;
    case 'shl':
      return (x, y) => (y < 0n || y >= 64n ? 0n : x << y);
    case 'shr':
      return (x, y) => (y < 0n || y >= 64n ? (x < 0n ? -1n : 0n) : x >> y);
    case 'eq':
      return (x, y) => (x === y ? 1 : 0);
    case 'ne':
      return (x, y) => (x === y ? 0 : 1);
    case 'lt':
      return (x, y) => (x < y ? 1 : 0);
    case 'le':
      return (x, y) => (x <= y ? 1 : 0);
    case 'gt':
      return (x, y) => (x > y ? 1 : 0);
    case 'ge':
      return (x, y) => (x >= y ? 1 : 0);
    case 'and':
      return (x, y) => (x !== 0n && y !== 0n ? 1 : 0);
    case 'or':
      return (x, y) => (x !== 0n || y !== 0n ? 1 : 0);
    case 'xor':
      return (x, y) => ((x !== 0n) === (y !== 0n) ? 0 : 1);
  }
}

/** A power of a 64-bit integer with an exponent that is none. */
export function bigToRealPower(base: bigint, exponent: number): bigint {
  return Number.isInteger(exponent) ? bigPower(base, BigInt(exponent)) : truncateToInt64(pow(Number(base), exponent));
}

function bigFloorMod(x: bigint, y: bigint): bigint {
  if (y === 0n) return 0n;
  const r = x % y;
  return r !== 0n && r < 0n !== y < 0n ? r + y : r;
}

/** Modulo 2^64. */
function bigPower(base: bigint, exponent: bigint): bigint {
  if (exponent < 0n) return base === 1n ? 1n : base === -1n ? (exponent % 2n === 0n ? 1n : -1n) : 0n;
  let result = 1n;
  let square = BigInt.asUintN(64, base);
  for (let n = exponent; n > 0n; n >>= 1n) {
    if (n & 1n) result = BigInt.asUintN(64, result * square);
    square = BigInt.asUintN(64, square * square);
  }
  return result;
}

/** Towards zero; saturates at the ends of int64, NaN is 0. */
export function truncateToInt64(x: number): bigint {
  if (Number.isNaN(x)) return 0n;
  if (x >= 2 ** 63) return 2n ** 63n - 1n;
  return x <= -(2 ** 63) ? -(2n ** 63n) : BigInt(Math.trunc(x));
}

export function truncateToUint64(x: number): bigint {
  if (!(x >= 1)) return 0n;
  return x >= 2 ** 64 ? 2n ** 64n - 1n : BigInt(Math.trunc(x));
}

/** The low 32 bits of the number truncated to int64: the block narrows them further. */
export function truncateToInt32(x: number): number {
  return x >= 2 ** 63 ? -1 : x | 0;
}
