/** How far two values are apart. */

import { readIntegers, readNumbers, type RuntimeValue, Tensor } from '@tensorwright/core';

export interface Tolerance {
  /** Root-mean-square error over the standard deviation of what was wanted. */
  readonly nrms: number;
  /** Where given: every element must lie within atol + rtol·|wanted|. */
  readonly atol?: number | undefined;
  readonly rtol?: number | undefined;
}

export interface Difference {
  readonly name: string;
  readonly type: string;
  readonly elements: number;
  readonly nrms: number;
  readonly maxAbsolute: number;
  readonly maxRelative: number;
  /** Elements beyond atol + rtol·|wanted|; without those options, elements that are not equal. */
  readonly beyond: number;
  /** NaNs and infinities in what was got. */
  readonly notFinite: number;
  readonly passed: boolean;
  /** Why values cannot be compared by numbers. */
  readonly reason?: string;
}

/** Values that are no tensors give one difference per tensor in them. */
export function differences(
  name: string,
  got: RuntimeValue | undefined,
  wanted: RuntimeValue | undefined,
  tolerance: Tolerance,
): Difference[] {
  if (got instanceof Tensor && wanted instanceof Tensor) return [compareTensors(name, got, wanted, tolerance)];
  const left = parts(got);
  const right = parts(wanted);
  if (!left || left.length !== right?.length) {
    return [incomparable(name, describe(got), `got ${describe(got)}, wanted ${describe(wanted)}`)];
  }
  return left.flatMap(([key, value], i) => {
    const [otherKey, other] = right[i]!;
    return key === otherKey
      ? differences(`${name}[${key}]`, value, other, tolerance)
      : [incomparable(`${name}[${key}]`, describe(value), `the key is ${otherKey} where ${key} was got`)];
  });
}

/** What a value that is no tensor consists of. */
export function parts(value: RuntimeValue | undefined): [key: string, value: RuntimeValue][] | undefined {
  if (value === undefined || value instanceof Tensor) return undefined;
  switch (value.kind) {
    case 'sequence':
      return value.items.map((item, i) => [String(i), item]);
    case 'optional':
      return value.value === undefined ? [] : [['value', value.value]];
    case 'map':
      return [...value.entries]
        .map(([key, item]) => [String(key), item] as [string, RuntimeValue])
        .sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

export function describe(value: RuntimeValue | undefined): string {
  if (value === undefined) return 'nothing';
  return value instanceof Tensor ? `${value.dtype}[${value.dims.join(', ')}]` : `a ${value.kind}`;
}

function incomparable(name: string, type: string, reason: string): Difference {
  return {
    name,
    type,
    elements: 0,
    nrms: Infinity,
    maxAbsolute: Infinity,
    maxRelative: Infinity,
    beyond: 0,
    notFinite: 0,
    passed: false,
    reason,
  };
}

function compareTensors(name: string, got: Tensor, wanted: Tensor, tolerance: Tolerance): Difference {
  const type = describe(got);
  if (type !== describe(wanted)) return incomparable(name, type, `got ${type}, wanted ${describe(wanted)}`);
  if (got.dtype === 'string')
    return compareStrings(name, type, got.data as readonly string[], wanted.data as readonly string[]);
  const { atol, rtol } = tolerance;
  const errors = measure(numbersOf(got), numbersOf(wanted), atol ?? 0, rtol ?? 0);
  const elementwise = (atol === undefined && rtol === undefined) || errors.beyond === 0;
  return { name, type, ...errors, passed: errors.nrms <= tolerance.nrms && elementwise };
}

function compareStrings(name: string, type: string, got: readonly string[], wanted: readonly string[]): Difference {
  const beyond = got.reduce((n, s, i) => (s === wanted[i] ? n : n + 1), 0);
  const error = beyond === 0 ? 0 : Infinity;
  return {
    name,
    type,
    elements: got.length,
    nrms: error,
    maxAbsolute: error,
    maxRelative: error,
    beyond,
    notFinite: 0,
    passed: beyond === 0,
  };
}

/** The elements as numbers, 64-bit integers rounded. */
export function numbersOf(tensor: Tensor): ArrayLike<number> {
  switch (tensor.dtype) {
    case 'float32':
    case 'float64':
    case 'complex64':
    case 'complex128':
      return tensor.data as Float64Array;
    case 'int64':
    case 'uint64':
      return Float64Array.from(readIntegers(tensor) as BigInt64Array, Number);
    default:
      return readNumbers(tensor);
  }
}

type Errors = Pick<Difference, 'elements' | 'nrms' | 'maxAbsolute' | 'maxRelative' | 'beyond' | 'notFinite'>;

function measure(got: ArrayLike<number>, wanted: ArrayLike<number>, atol: number, rtol: number): Errors {
  let finite = 0;
  let mean = 0;
  let spread = 0;
  let squaredError = 0;
  let maxAbsolute = 0;
  let maxRelative = 0;
  let beyond = 0;
  let notFinite = 0;
  for (let i = 0; i < wanted.length; i++) {
    const a = got[i]!;
    const b = wanted[i]!;
    if (!Number.isFinite(a)) notFinite++;
    if (Number.isFinite(b)) {
      // Welford's running variance: stable where the mean is large.
      finite++;
      const delta = b - mean;
      mean += delta / finite;
      spread += delta * (b - mean);
    }
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const error = Number.isFinite(a) && Number.isFinite(b) ? Math.abs(a - b) : Infinity;
    squaredError += error * error;
    maxAbsolute = Math.max(maxAbsolute, error);
    maxRelative = Math.max(maxRelative, b === 0 ? Infinity : error / Math.abs(b));
    if (!(error <= atol + rtol * Math.abs(b))) beyond++;
  }
  const elements = wanted.length;
  const deviation = Math.sqrt(spread / Math.max(1, finite));
  // A constant has no deviation: then its own size is the measure.
  const scale = deviation > 1e-12 ? deviation : Math.max(1e-12, Math.abs(mean));
  const nrms = squaredError === 0 ? 0 : Math.sqrt(squaredError / elements) / scale;
  return { elements, nrms, maxAbsolute, maxRelative, beyond, notFinite };
}
