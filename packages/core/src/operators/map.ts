/** What all map operators share: broadcasting type inference and elementwise value facts. */

import { broadcastDims } from '../broadcast.js';
import { type Dim, formatDims } from '../dim.js';
import { type DType, isFloat } from '../dtype.js';
import type { Attributes } from '../graph.js';
import { type InferContext, type Operator, registerOperator } from '../operator.js';
import type { Scalar } from '../scalar.js';
import { elementCount } from '../tensor.js';
import { tensorType, type Type } from '../type.js';

export interface MapDefinition {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly attributes?: Readonly<Record<string, unknown>>;
  /** Which dtypes input `index` may have. */
  readonly accepts: (dtype: DType, index: number) => boolean;
  /** The output's dtype; default: that of the first input. */
  readonly result?: (dtypes: readonly DType[], attributes: Attributes) => DType;
  /** Inputs that may differ in dtype from the first one. Default: none. */
  readonly free?: readonly number[];
  readonly scalar: (args: readonly Scalar[], attributes: Attributes, result: DType) => Scalar;
  /** The value fact of one element from those of the inputs; `dtype` is the first input's. */
  readonly fact?: (elements: readonly Dim[], attributes: Attributes, dtype: DType) => Dim | undefined;
  /** Default: true. */
  readonly safeIn16Bit?: boolean;
}

export function mapOperator(definition: MapDefinition): Operator {
  const { name, inputs, attributes, accepts, result, free, scalar, fact, safeIn16Bit } = definition;
  return registerOperator({
    name,
    kind: 'map',
    inputs,
    ...(attributes && { attributes }),
    infer: (c) => {
      const dtypes = c.inputs.map((_, i) => c.tensor(i).dtype);
      const common = dtypes.find((_, i) => free?.includes(i) !== true);
      dtypes.forEach((dtype, i) => {
        if (!accepts(dtype, i)) c.fail(`input '${inputs[i]!}' cannot be ${dtype}`);
        if (free?.includes(i) !== true && dtype !== common)
          c.fail(`input '${inputs[i]!}' is ${dtype}, must be ${common!}`);
      });
      return [inferBroadcast(c, result ? result(dtypes, c.attributes) : dtypes[0]!)];
    },
    ...(fact && { facts: (c) => [elementwiseFacts(c, (elements) => fact(elements, c.attributes, c.tensor(0).dtype))] }),
    scalar,
    numerics: { safeIn16Bit: safeIn16Bit ?? true },
  });
}

/** The broadcast of all inputs; unranked when one of them is. */
export function inferBroadcast(c: InferContext, dtype: DType): Type {
  let dims: readonly Dim[] = [];
  for (let i = 0; i < c.inputs.length; i++) {
    const own = c.tensor(i).dims;
    if (own === undefined) return tensorType(dtype, undefined);
    dims = broadcastDims(dims, own) ?? c.fail(`shapes ${formatDims(dims)} and ${formatDims(own)} do not broadcast`);
  }
  agreeAll(c);
  return tensorType(dtype, dims);
}

/** Whatever their broadcast is, two extents of one axis are the same, or one of them is 1. */
function agreeAll(c: InferContext): void {
  for (let j = 1; j < c.inputs.length; j++) {
    const right = c.dims(j);
    for (let i = 0; i < j; i++) {
      const left = c.dims(i);
      for (let k = 1; k <= Math.min(left.length, right.length); k++)
        c.agreeOrOne(left[left.length - k]!, right[right.length - k]!, `extents of axis -${String(k)}`);
    }
  }
}

/** Facts of a broadcast elementwise operator; undefined unless every element of every input and of the result is known. */
function elementwiseFacts(
  c: InferContext,
  combine: (elements: readonly Dim[]) => Dim | undefined,
): readonly Dim[] | undefined {
  const facts = c.inputs.map((_, i) => c.fact(i));
  const shapes = c.inputs.map((_, i) => c.tensor(i).dims as readonly number[]);
  if (facts.some((f) => f === undefined)) return undefined;
  let dims: readonly number[] = [];
  for (const s of shapes) dims = broadcastDims(dims, s) as readonly number[];
  const count = elementCount(dims);
  // A float zero may be a negative one, which a dim cannot tell.
  const signedZeros = isFloat(c.tensor(0).dtype);
  const out: Dim[] = [];
  for (let position = 0; position < count; position++) {
    const element = combine(facts.map((f, k) => f![broadcastOffset(position, dims, shapes[k]!)]!));
    if (element === undefined || (element === 0 && signedZeros)) return undefined;
    out.push(element === 0 ? 0 : element);
  }
  return out;
}

/** The offset in a dense tensor of shape `from` of the element at `position` of its broadcast to `to`. */
export function broadcastOffset(position: number, to: readonly number[], from: readonly number[]): number {
  let offset = 0;
  let stride = 1;
  let rest = position;
  for (let axis = to.length - 1, own = from.length - 1; own >= 0; axis--, own--) {
    const at = rest % to[axis]!;
    rest = Math.floor(rest / to[axis]!);
    if (from[own] !== 1) offset += at * stride;
    stride *= from[own]!;
  }
  return offset;
}
