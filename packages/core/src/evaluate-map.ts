/** Evaluates a map operator: its scalar expression over the numpy broadcast of the inputs. */

import { broadcastDims } from './broadcast.js';
import { allocateElements, elementsOf, type Elements, tensorOf } from './elements.js';
import { allocateBlock, type Block, compileScalar } from './evaluate-scalar.js';
import { decodeTable, floatEncoder, isNarrowFloat } from './float-formats.js';
import type { EvaluateContext, Operator } from './operator.js';
import { scalar, type Scalar } from './scalar.js';
import { elementCount, type Tensor } from './tensor.js';
import { type DType, isFloat } from './dtype.js';

const blockLength = 1024;
/** What a cast saturates is in range when it is stored, what it left infinite stays so. */
const keepInfinite = { saturate: false };

/** @throws ERR_VALUE when the shapes do not broadcast */
export function evaluateMap(scalarFn: NonNullable<Operator['scalar']>, context: EvaluateContext): Tensor {
  const tensors = context.inputs.map((_, i) => context.tensor(i));
  const type = context.outputTypes[0];
  if (type?.kind !== 'tensor') return context.fail('a map operator has one tensor output');
  const args = tensors.map((t, i) => scalar.arg(i, t.dtype));
  const expression = scalarFn(args, context.attributes, type.dtype);

  let dims: readonly number[] = [];
  for (const t of tensors)
    dims = (broadcastDims(dims, t.dims) ??
      context.fail(
        `shapes ${tensors.map((x) => `[${x.dims.join(', ')}]`).join(' and ')} do not broadcast`,
      )) as number[];
  const count = elementCount(dims);

  const readers = tensors.map((t) => blockReader(t, dims));
  const program = compileScalar(unrounded(expression), Math.min(blockLength, Math.max(count, 1)));
  const result = allocateElements(type.dtype, count);
  const store = storer(result, type.dtype);
  for (let start = 0; start < count; start += blockLength) {
    const length = Math.min(blockLength, count - start);
    const blocks = readers.map((read) => read(start, length));
    store(start, program.run(blocks, length), length);
  }
  return tensorOf(type.dtype, result as ArrayLike<number>, dims);
}

/** A cast of an input to 16 bits need not round what is rounded when it is stored: weights are large. */
function unrounded(expression: Scalar): Scalar {
  if (expression.op !== 'cast' || (expression.dtype !== 'float16' && expression.dtype !== 'bfloat16'))
    return expression;
  const [operand] = expression.args;
  return operand.op === 'arg' && isFloat(operand.dtype) ? operand : expression;
}

/** Puts so many elements of a block where they belong. */
function storer(result: Elements, dtype: DType): (start: number, block: Block, length: number) => void {
  if (!isNarrowFloat(dtype))
    return (start, block, length) => {
      (result as Float64Array).set(block.subarray(0, length) as Float64Array, start);
    };
  const encode = floatEncoder(dtype, keepInfinite);
  const patterns = result as Uint16Array;
  return (start, block, length) => {
    for (let i = 0; i < length; i++) patterns[start + i] = encode(block[i] as number);
  };
}

/** Reads consecutive elements of a tensor broadcast to `dims`. */
function blockReader(tensor: Tensor, dims: readonly number[]): (start: number, length: number) => Block {
  const source = elementsOf(tensor) as Float64Array;
  const table = isNarrowFloat(tensor.dtype) ? decodeTable(tensor.dtype) : undefined;
  const block = allocateBlock(tensor.dtype, blockLength) as Float64Array;
  const offset = broadcastOffsets(tensor.dims, dims);
  return (start, length) => {
    if (offset === undefined) {
      if (!table) block.set(source.subarray(start, start + length));
      else for (let i = 0; i < length; i++) block[i] = table[source[start + i]!]!;
    } else {
      offset.seek(start);
      for (let i = 0; i < length; i++) {
        const value = source[offset.next()]!;
        block[i] = table ? table[value]! : value;
      }
    }
    return block;
  };
}

export interface Offsets {
  seek(position: number): void;
  /** The source offset at the current position of the broadcast shape; moves on. */
  next(): number;
}

/** Offsets into a dense tensor of shape `from` as its broadcast to `to` is walked; undefined when they only count up. */
export function broadcastOffsets(from: readonly number[], to: readonly number[]): Offsets | undefined {
  const rank = to.length;
  const shift = rank - from.length;
  const steps = new Array<number>(rank).fill(0);
  let stride = 1;
  for (let axis = rank - 1; axis >= shift; axis--) {
    const extent = from[axis - shift]!;
    if (extent !== 1) steps[axis] = stride;
    stride *= extent;
  }
  if (to.every((d, axis) => d === 1 || from[axis - shift] === d)) return undefined;
  const at = new Array<number>(rank).fill(0);
  let offset = 0;
  return {
    seek: (position) => {
      offset = 0;
      let rest = position;
      for (let axis = rank - 1; axis >= 0; axis--) {
        at[axis] = rest % to[axis]!;
        rest = Math.floor(rest / to[axis]!);
        offset += at[axis]! * steps[axis]!;
      }
    },
    next: () => {
      const current = offset;
      for (let axis = rank - 1; axis >= 0; axis--) {
        offset += steps[axis]!;
        if (++at[axis]! < to[axis]!) break;
        offset -= steps[axis]! * to[axis]!;
        at[axis] = 0;
      }
      return current;
    },
  };
}
