/** Narrow floats as numbers and back: the value behind each bit pattern, and the rounding of ONNX's Cast. Whole tensors: elements.ts. */

import type { DType } from './dtype.js';
import { invariant } from './errors.js';

export type NarrowFloat =
  | 'float16'
  | 'bfloat16'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz'
  | 'float8e8m0'
  | 'float4e2m1';

export type RoundMode = 'up' | 'down' | 'nearest';

export interface EncodeOptions {
  /** 8-bit floats: out of range becomes the largest finite value instead of infinity or NaN. Default: true. */
  readonly saturate?: boolean;
  /** float8e8m0 only. Default: 'up'. */
  readonly roundMode?: RoundMode;
}

/**
 * What the exponent and mantissa of all ones mean: 'ieee' infinity and NaN; 'fn' NaN where all bits are one, no
 * infinity; 'fnuz' finite, the only NaN is the pattern of -0; 'finite' finite, no NaN at all.
 */
type Specials = 'ieee' | 'fn' | 'fnuz' | 'finite';

interface Format {
  readonly bits: number;
  readonly mantissa: number;
  readonly bias: number;
  readonly specials: Specials;
  /** Whether Cast's `saturate` applies: the 16-bit floats overflow to infinity always. */
  readonly saturates: boolean;
  // Derived from the above.
  readonly signBit: number;
  readonly infinity: number;
  /** The pattern of the largest finite value. */
  readonly largest: number;
  /** Subnormal steps in 1. */
  readonly stepsInOne: number;
  readonly nan: number;
}

function defineFormat(bits: number, mantissa: number, bias: number, specials: Specials, saturates: boolean): Format {
  const signBit = 2 ** (bits - 1);
  const infinity = signBit - 2 ** mantissa;
  const largest = { ieee: infinity - 1, fn: signBit - 2, fnuz: signBit - 1, finite: signBit - 1 }[specials];
  // A format without NaN turns it into -0, as ONNX's reference does.
  const nan = { ieee: signBit - 2 ** (mantissa - 1), fn: signBit - 1, fnuz: signBit, finite: signBit }[specials];
  return {
    bits,
    mantissa,
    bias,
    specials,
    saturates,
    signBit,
    infinity,
    largest,
    stepsInOne: 2 ** (bias - 1 + mantissa),
    nan,
  };
}

const formats: Record<Exclude<NarrowFloat, 'float8e8m0'>, Format> = {
  float16: defineFormat(16, 10, 15, 'ieee', false),
  bfloat16: defineFormat(16, 7, 127, 'ieee', false),
  float8e4m3fn: defineFormat(8, 3, 7, 'fn', true),
  float8e4m3fnuz: defineFormat(8, 3, 8, 'fnuz', true),
  float8e5m2: defineFormat(8, 2, 15, 'ieee', true),
  float8e5m2fnuz: defineFormat(8, 2, 16, 'fnuz', true),
  float4e2m1: defineFormat(4, 1, 1, 'finite', true),
};

const narrowFloats = new Set<string>([...Object.keys(formats), 'float8e8m0']);

/** Floats stored as bit patterns in integer arrays. */
export function isNarrowFloat(dtype: DType): dtype is NarrowFloat {
  return narrowFloats.has(dtype);
}

const tables = new Map<NarrowFloat, Float32Array>();

/** The value of every bit pattern of `dtype`; all of them are exact in float32. */
export function decodeTable(dtype: NarrowFloat): Float32Array {
  let table = tables.get(dtype);
  if (!table) tables.set(dtype, (table = buildTable(dtype)));
  return table;
}

function buildTable(dtype: NarrowFloat): Float32Array {
  if (dtype === 'float8e8m0') return Float32Array.from({ length: 256 }, (_, b) => (b === 255 ? NaN : 2 ** (b - 127)));
  const format = formats[dtype];
  return Float32Array.from({ length: 2 ** format.bits }, (_, b) => decode(format, b));
}

function decode({ mantissa, bias, specials, signBit, infinity, nan }: Format, pattern: number): number {
  const negative = pattern >= signBit;
  const magnitude = negative ? pattern - signBit : pattern;
  const exponent = magnitude >> mantissa;
  const fraction = magnitude & (2 ** mantissa - 1);
  if ((specials === 'fnuz' && pattern === nan) || (specials === 'fn' && magnitude === nan)) return NaN;
  let value: number;
  if (specials === 'ieee' && magnitude >= infinity) value = magnitude === infinity ? Infinity : NaN;
  else if (exponent === 0) value = fraction * 2 ** (1 - bias - mantissa);
  else value = (1 + fraction * 2 ** -mantissa) * 2 ** (exponent - bias);
  return negative ? -value : value;
}

/** The number that a bit pattern stands for. `dtype` must be stored as bit patterns. */
export function decodeFloat(dtype: DType, bits: number): number {
  invariant(isNarrowFloat(dtype), `${dtype} is not stored as bit patterns`);
  return decodeTable(dtype)[bits]!;
}

/** The bit pattern nearest to `value`, ties to even, with ONNX Cast's rules for what is out of range. */
export function encodeFloat(dtype: DType, value: number, options: EncodeOptions = {}): number {
  return floatEncoder(dtype, options)(value);
}

/** `encodeFloat` of many values. */
export function floatEncoder(dtype: DType, options: EncodeOptions = {}): (value: number) => number {
  invariant(isNarrowFloat(dtype), `${dtype} is not stored as bit patterns`);
  const { saturate = true, roundMode = 'up' } = options;
  if (dtype === 'float8e8m0') return (value) => encodeScale(value, saturate, roundMode);
  const format = formats[dtype];
  return (value) => encode(format, value, saturate);
}

const f64 = new Float64Array(1);
const u32 = new Uint32Array(f64.buffer);

/** floor(log2(value)) of a positive, normal double. */
function exponentOf(value: number): number {
  f64[0] = value;
  return (u32[1]! >>> 20) - 1023;
}

function encode(format: Format, value: number, saturate: boolean): number {
  const { mantissa, bias, specials, signBit, largest, stepsInOne } = format;
  f64[0] = value;
  const low = u32[0]!;
  const high = u32[1]!;
  const sign = high >>> 31 === 0 ? 0 : signBit;
  const exponent = ((high >>> 20) & 0x7ff) - 1023;
  const smallestExponent = 1 - bias;
  let pattern: number;
  if (exponent === 1024) {
    if (Number.isNaN(value)) return format.nan;
    pattern = largest + 1;
  } else if (exponent >= smallestExponent) {
    // What is cut off of the fraction decides, and between two patterns the last bit kept.
    const cut = 20 - mantissa;
    const half = 1 << (cut - 1);
    const rest = high & (2 * half - 1);
    pattern = ((exponent - smallestExponent + 1) << mantissa) + ((high & 0xfffff) >>> cut);
    // A carry out of the fraction moves into the exponent by itself.
    if (rest > half || (rest === half && (low !== 0 || (pattern & 1) === 1))) pattern++;
  } else {
    // Subnormal: the pattern counts steps.
    pattern = roundHalfEven(Math.abs(value) * stepsInOne);
  }
  if (pattern > largest) {
    if (format.saturates && (saturate || specials === 'finite')) pattern = largest;
    else if (specials === 'ieee') pattern = format.infinity;
    else return specials === 'fnuz' ? format.nan : sign + format.nan;
  }
  return pattern === 0 && specials === 'fnuz' ? 0 : sign + pattern;
}

/** float8e8m0: a power of two from 2^-127 to 2^127. The sign is dropped: ONNX leaves negative values undefined. */
function encodeScale(value: number, saturate: boolean, roundMode: RoundMode): number {
  const nan = 255;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return nan;
  const smallest = 2 ** -127;
  if (magnitude < smallest) return saturate ? 0 : nan;
  if (magnitude === Infinity) return saturate ? 254 : nan;
  const exponent = exponentOf(magnitude);
  const fraction = magnitude / 2 ** exponent;
  const up = roundMode === 'up' ? fraction > 1 : roundMode === 'nearest' ? fraction >= 1.5 : false;
  const pattern = exponent + 127 + (up ? 1 : 0);
  if (pattern > 254) return saturate ? 254 : nan;
  return pattern;
}

/** Nearest integer, ties to even. */
export function roundHalfEven(value: number): number {
  // Beyond 2^52 all doubles are integers; adding 2^52 makes the addition round to one.
  const shift = 4503599627370496;
  if (!(Math.abs(value) < shift)) return value;
  if (value > 0) return value + shift - shift;
  const rounded = value - shift + shift;
  return rounded === 0 ? (value < 0 || Object.is(value, -0) ? -0 : 0) : rounded;
}
