/** QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: per tensor, per axis and by blocks. */

import {
  type Dim,
  type DType,
  dtypeInfo,
  isFloat,
  isInteger,
  mulDims,
  provablyEqual,
  type Value,
} from '@tensorwright/core';
import { castTo } from './elementwise.js';
import type { ImportContext, ImporterTable } from './importer.js';
import { reshaped } from './shape.js';

/** Operands shaped to broadcast against each other, and the way back to x's shape. */
interface Granularity {
  readonly x: Value;
  readonly parameters: readonly (Value | undefined)[];
  readonly dims: readonly Dim[] | undefined;
}

/** Scale and zero point belong to the whole tensor, to an axis, or to blocks along an axis. */
function granularity(
  c: ImportContext,
  x: Value,
  parameters: readonly (Value | undefined)[],
  axisAttribute: number,
  blockSize: number,
): Granularity {
  const scale = parameters[0]!;
  const own = c.dimsOf(scale);
  if (own.every((d) => d === 1) && own.length <= 1)
    return { x, parameters: parameters.map((p) => p && reshaped(c, p, [])), dims: undefined };
  const dims = c.dimsOf(x);
  const axis = c.axis(axisAttribute, dims.length);
  if (own.length === 1 && (blockSize === 0 || dims.length > 1)) {
    if (typeof own[0] === 'number' && typeof dims[axis] === 'number' && own[0] !== dims[axis])
      c.fail(`the scale has ${own[0]} elements, axis ${axis} has ${dims[axis]}`);
    const trailing = new Array<number>(dims.length - axis - 1).fill(1);
    return { x, parameters: parameters.map((p) => p && reshaped(c, p, [own[0]!, ...trailing])), dims: undefined };
  }
  if (own.length !== dims.length)
    c.fail(`the scale has rank ${own.length}, a scalar, a vector or rank ${dims.length} is expected`);
  return byBlocks(c, x, parameters, axis, blockSize);
}

/** What is moved element by element: integers that share a byte do not move by themselves. */
export function inWholeBytes(c: ImportContext, v: Value, move: (v: Value) => Value): Value {
  const { dtype } = c.type(v);
  if (dtypeInfo(dtype).bits >= 8 || !isInteger(dtype)) return move(v);
  return castTo(c, move(castTo(c, v, dtypeInfo(dtype).class === 'int' ? 'int8' : 'uint8')), dtype);
}

/** Blocks become an axis of their own; where the last one is short, the parameters are repeated instead. */
function byBlocks(
  c: ImportContext,
  x: Value,
  parameters: readonly (Value | undefined)[],
  axis: number,
  blockSize: number,
): Granularity {
  const dims = c.dimsOf(x);
  const own = c.dimsOf(parameters[0]!);
  const [extent, blocks] = [dims[axis]!, own[axis]!];
  const size =
    blockSize > 0
      ? blockSize
      : typeof extent === 'number' && typeof blocks === 'number'
        ? Math.ceil(extent / blocks)
        : c.unsupported("blocks of unknown extent need the attribute 'block_size'");
  if (size === 1) return { x, parameters, dims: undefined };
  const split = (shape: readonly Dim[], ...middle: Dim[]): Dim[] => [
    ...shape.slice(0, axis),
    ...middle,
    ...shape.slice(axis + 1),
  ];
  if (provablyEqual(mulDims(blocks, size), extent)) {
    return {
      x: reshaped(c, x, split(dims, blocks, size)),
      parameters: parameters.map((p) => p && reshaped(c, p, split(own, blocks, 1))),
      dims,
    };
  }
  const repeat = (p: Value): Value => {
    const spread = c.op('expand', [reshaped(c, p, split(own, blocks, 1))], { dims: split(own, blocks, size) });
    const flat = reshaped(c, spread, split(own, mulDims(blocks, size)));
    return c.op('slice', [flat], { starts: dims.map(() => 0), sizes: split(own, extent), steps: dims.map(() => 1) });
  };
  return { x, parameters: parameters.map((p) => p && inWholeBytes(c, p, repeat)), dims: undefined };
}

function dtypeAttribute(c: ImportContext, name: string): DType | undefined {
  return c.int(name, 0) === 0 ? undefined : c.dtype(name);
}

export interface QuantizeOptions {
  readonly axis?: number;
  readonly blockSize?: number;
  readonly saturate?: boolean;
  readonly precision?: DType | undefined;
}

/** x as `to` under scale and zero point. */
export function quantized(
  c: ImportContext,
  x: Value,
  scale: Value,
  zeroPoint: Value | undefined,
  to: DType,
  options: QuantizeOptions = {},
): Value {
  const scaleType = c.type(scale).dtype;
  // The scale's dtype is the precision of the division, where it is one to compute in.
  const natural: DType = scaleType === 'float8e8m0' || !isFloat(scaleType) ? 'float32' : scaleType;
  const g = granularity(c, x, [scale, zeroPoint], options.axis ?? 1, options.blockSize ?? 0);
  const y = c.op('quantizeLinear', [g.x, ...g.parameters], {
    to,
    saturate: options.saturate ?? true,
    precision: options.precision ?? natural,
  });
  return g.dims ? reshaped(c, y, g.dims) : y;
}

export function dequantized(
  c: ImportContext,
  x: Value,
  scale: Value,
  zeroPoint: Value | undefined,
  options: QuantizeOptions & { to?: DType | undefined } = {},
): Value {
  const { dtype } = c.type(x);
  if (zeroPoint && c.type(zeroPoint).dtype !== dtype)
    c.fail(`the zero point is ${c.type(zeroPoint).dtype}, x is ${dtype}`);
  const g = granularity(c, x, [scale, zeroPoint], options.axis ?? 1, options.blockSize ?? 0);
  const y = c.op('dequantizeLinear', [g.x, ...g.parameters], { to: options.to ?? c.type(scale).dtype });
  return g.dims ? reshaped(c, y, g.dims) : y;
}

function quantizeLinear(c: ImportContext): Value {
  const zeroPoint = c.optional(2);
  const attribute = dtypeAttribute(c, 'output_dtype');
  const to = zeroPoint ? c.type(zeroPoint).dtype : (attribute ?? 'uint8');
  if (attribute && attribute !== to) c.fail(`attribute 'output_dtype' is ${attribute}, the zero point is ${to}`);
  return quantized(c, c.input(0), c.input(1), zeroPoint, to, {
    axis: c.int('axis', 1),
    blockSize: c.int('block_size', 0),
    saturate: c.int('saturate', 1) !== 0,
    precision: dtypeAttribute(c, 'precision'),
  });
}

function dequantizeLinear(c: ImportContext): Value {
  return dequantized(c, c.input(0), c.input(1), c.optional(2), {
    axis: c.int('axis', 1),
    blockSize: c.int('block_size', 0),
    to: dtypeAttribute(c, 'output_dtype'),
  });
}

/** Scale and zero point from the extremes of x, which always include 0. */
function dynamicQuantizeLinear(c: ImportContext): readonly Value[] {
  const x = c.input(0);
  const { dtype } = c.type(x);
  const axes = c.dimsOf(x).map((_, axis) => axis);
  const zero = c.scalar(0, dtype);
  const extreme = (monoid: 'max' | 'min'): Value =>
    c.op(monoid, [axes.length > 0 ? c.op('reduce', [x], { monoid, axes, keepdims: false }) : x, zero]);
  const [high, low] = [extreme('max'), extreme('min')];
  const range = c.op('where', [c.op('equal', [high, low]), c.scalar(1, dtype), c.op('sub', [high, low])]);
  const scale = c.op('div', [range, c.scalar(255, dtype)]);
  const raw = c.op('div', [c.op('neg', [low]), scale]);
  const zeroPoint = castTo(c, c.op('round', [c.op('min', [c.op('max', [raw, zero]), c.scalar(255, dtype)])]), 'uint8');
  return [quantized(c, x, scale, zeroPoint, 'uint8'), scale, zeroPoint];
}

export const quantizeImporters: ImporterTable = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
};

/** com.microsoft's have the same inputs and attributes. */
export const microsoftQuantizeImporters: ImporterTable = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
};
