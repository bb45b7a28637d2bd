/**
 * Runs scalar expressions over arrays: a block of elements at a time, one pass per node of the expression. Floats
 * are computed in double without rounding in between; integers wrap as their dtype does after every node.
 */

import { type DType, dtypeInfo, isBig, isFloat } from './dtype.js';
import { invariant } from './errors.js';
import { decodeTable, floatEncoder, isNarrowFloat } from './float-formats.js';
import { type BinaryScalarOp, type Scalar, scalarArgs, type UnaryScalarOp } from './scalar.js';
import {
  bigBinary,
  bigToRealPower,
  bigUnary,
  numberBinary,
  numberUnary,
  truncateToInt32,
  truncateToInt64,
  truncateToUint64,
} from './scalar-functions.js';

/** Elements of one block: 64-bit integers as bigints, small integers in their own width, floats as doubles. */
export type Block =
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

export interface ScalarProgram {
  /** Computes `count` elements from the blocks of the args; the result is overwritten by the next call. */
  run(args: readonly Block[], count: number): Block;
}

/** A block for values of `dtype`. Storing into it wraps integers to their width (4 and 2 bits apart). */
export function allocateBlock(dtype: DType, length: number): Block {
  switch (dtype) {
    case 'int2':
    case 'int4':
    case 'int8':
      return new Int8Array(length);
    case 'bool':
    case 'uint2':
    case 'uint4':
    case 'uint8':
      return new Uint8Array(length);
    case 'int16':
      return new Int16Array(length);
    case 'uint16':
      return new Uint16Array(length);
    case 'int32':
      return new Int32Array(length);
    case 'uint32':
      return new Uint32Array(length);
    case 'int64':
      return new BigInt64Array(length);
    case 'uint64':
      return new BigUint64Array(length);
    default:
      invariant(isFloat(dtype), `scalar expressions have no ${dtype}`);
      return new Float64Array(length);
  }
}

/** @param blockLength the largest `count` of a run */
export function compileScalar(expression: Scalar, blockLength: number): ScalarProgram {
  type Step = (args: readonly Block[], count: number) => void;
  const steps: Step[] = [];
  const registers: (Block | undefined)[] = [];
  const known = new Map<Scalar, (args: readonly Block[]) => Block>();

  const visit = (e: Scalar): ((args: readonly Block[]) => Block) => {
    const done = known.get(e);
    if (done) return done;
    let read: (args: readonly Block[]) => Block;
    if (e.op === 'arg') {
      read = (args) => args[e.index]!;
    } else {
      const out = allocateBlock(e.dtype, blockLength);
      registers.push(out);
      read = () => out;
      if (e.op === 'const') {
        fillConstant(out, e.value);
      } else {
        const operands = scalarArgs(e).map(visit);
        const kernel = kernelOf(e);
        const mask = subByteWrap(e.dtype);
        steps.push((args, count) => {
          kernel(
            out,
            operands.map((o) => o(args)),
            count,
          );
          mask?.(out, count);
        });
      }
    }
    known.set(e, read);
    return read;
  };

  const result = visit(expression);
  return {
    run: (args, count) => {
      for (const step of steps) step(args, count);
      return result(args);
    },
  };
}

function fillConstant(out: Block, value: number | bigint): void {
  if (out instanceof BigInt64Array || out instanceof BigUint64Array) out.fill(BigInt(value));
  else out.fill(Number(value));
}

/** int4, int2 and their unsigned kin live in 8-bit blocks and wrap by hand. */
function subByteWrap(dtype: DType): ((out: Block, count: number) => void) | undefined {
  const { bits, class: kind } = dtypeInfo(dtype);
  if (bits >= 8 || isFloat(dtype)) return undefined;
  const shift = 32 - bits;
  return (out, count) => {
    const small = out as Int8Array;
    for (let i = 0; i < count; i++)
      small[i] = kind === 'int' ? (small[i]! << shift) >> shift : (small[i]! << shift) >>> shift;
  };
}

type Kernel = (out: Block, operands: readonly Block[], count: number) => void;

function kernelOf(e: Exclude<Scalar, { op: 'arg' | 'const' }>): Kernel {
  switch (e.op) {
    case 'cast':
      return castKernel(e);
    case 'select':
      return (out, [condition, a, b], count) => {
        const target = out as Float64Array;
        for (let i = 0; i < count; i++) target[i] = (condition![i] === 0 ? b![i] : a![i]) as number;
      };
    default: {
      const operand = e.args[0].dtype;
      if (e.args.length === 1) {
        return isBig(operand)
          ? mapBig(bigUnary(e.op as UnaryScalarOp))
          : mapNumbers(numberUnary(e.op as UnaryScalarOp, operand));
      }
      const op = e.op as BinaryScalarOp;
      const right = e.args[1].dtype;
      if (isBig(operand)) return isBig(right) ? zipBig(bigBinary(op)) : zipMixed(op, true, operand);
      return isBig(right) ? zipMixed(op, false, operand) : zipNumbers(numberBinary(op, operand, right));
    }
  }
}

function mapNumbers(f: (x: number) => number): Kernel {
  return (out, [a], count) => {
    const from = a as Float64Array;
    const to = out as Float64Array;
    for (let i = 0; i < count; i++) to[i] = f(from[i]!);
  };
}

function zipNumbers(f: (x: number, y: number) => number): Kernel {
  return (out, [a, b], count) => {
    const left = a as Float64Array;
    const right = b as Float64Array;
    const to = out as Float64Array;
    for (let i = 0; i < count; i++) to[i] = f(left[i]!, right[i]!);
  };
}

function mapBig(f: (x: bigint) => bigint | number): Kernel {
  return (out, [a], count) => {
    const from = a as BigInt64Array;
    for (let i = 0; i < count; i++) out[i] = f(from[i]!);
  };
}

function zipBig(f: (x: bigint, y: bigint) => bigint | number): Kernel {
  return (out, [a, b], count) => {
    const left = a as BigInt64Array;
    const right = b as BigInt64Array;
    for (let i = 0; i < count; i++) out[i] = f(left[i]!, right[i]!);
  };
}

/** pow and shifts take operands of two dtypes, one of them of 64 bits. */
function zipMixed(op: BinaryScalarOp, bigLeft: boolean, dtype: DType): Kernel {
  invariant(op === 'pow' || op === 'shl' || op === 'shr', `scalar ${op} of a 64-bit and another dtype`);
  if (!bigLeft) {
    const f = numberBinary(op, dtype, 'float64');
    return (out, [a, b], count) => {
      for (let i = 0; i < count; i++) out[i] = f(a![i] as number, Number(b![i]!));
    };
  }
  const exact = bigBinary(op);
  return (out, [a, b], count) => {
    const left = a as BigInt64Array;
    for (let i = 0; i < count; i++) {
      const y = b![i] as number;
      out[i] = op === 'pow' ? bigToRealPower(left[i]!, y) : exact(left[i]!, BigInt(y));
    }
  };
}

type CastScalar = Extract<Scalar, { op: 'cast' }>;

function castKernel(e: CastScalar): Kernel {
  const operand = e.args[0];
  const from = operand.dtype;
  const to = e.dtype;
  if (isBig(from)) {
    if (isBig(to)) return mapBig((x) => x);
    if (to === 'bool') return mapBig((x) => (x === 0n ? 0 : 1));
    if (!isFloat(to)) return mapBig((x) => Number(BigInt.asIntN(32, x)));
    const store = rounding(e, to);
    return mapBig((x) => store(Number(x)));
  }
  // A float computed here has not been rounded to its dtype yet.
  const load = isFloat(from) && operand.op !== 'arg' ? rounding(e, from) : (x: number): number => x;
  if (isFloat(to)) {
    const store = rounding(e, to);
    return mapNumbers((x) => store(load(x)));
  }
  if (to === 'bool') return mapNumbers((x) => (load(x) === 0 ? 0 : 1));
  if (to === 'int64') return mapNumbersToBig((x) => truncateToInt64(load(x)));
  // Integers wrap, floats saturate: ONNX leaves the latter undefined.
  if (to === 'uint64') return mapNumbersToBig((x) => (isFloat(from) ? truncateToUint64(load(x)) : BigInt(x)));
  return mapNumbers((x) => truncateToInt32(load(x)));
}

/** Rounds to the float dtype and back to a double. */
function rounding({ saturate, roundMode }: CastScalar, dtype: DType): (x: number) => number {
  if (dtype === 'float32') return Math.fround;
  if (!isNarrowFloat(dtype)) return (x) => x;
  const table = decodeTable(dtype);
  const encode = floatEncoder(dtype, roundMode === undefined ? { saturate } : { saturate, roundMode });
  return (x) => table[encode(x)]!;
}

function mapNumbersToBig(f: (x: number) => bigint): Kernel {
  return (out, [a], count) => {
    const source = a as Float64Array;
    for (let i = 0; i < count; i++) out[i] = f(source[i]!);
  };
}
