/**
 * Value facts: the elements of small tensors as dim expressions, where known at build time and integers. They make
 * Shape → Gather → Concat → Reshape chains vanish, also those that pass through floats.
 */

import type { ConstantData } from './constant.js';
import type { Dim } from './dim.js';
import { type DType, isInteger } from './dtype.js';
import { inferContext } from './graph-builder.js';
import type { Node, Value } from './graph.js';
import { memo } from './memo.js';
import { operatorOf } from './operator.js';
import { elementCount } from './tensor.js';

/** Facts are kept for tensors up to this many elements. */
export const maxFactElements = 256;

/** The elements of a value in row-major order, or undefined when not all are known. */
export const inferFacts: (value: Value) => readonly Dim[] | undefined = memo((value) => {
  const { node, type } = value;
  if (type.kind !== 'tensor' || !hasFacts(type.dtype) || type.dims === undefined) return undefined;
  if (type.dims.some((d) => typeof d !== 'number') || elementCount(type.dims as number[]) > maxFactElements)
    return undefined;
  if (node.op === 'constant') return constantFacts(node.attributes['data'] as ConstantData);
  if (node.op === 'dims') return node.attributes['values'] as readonly Dim[];
  const facts = operatorOf(node.op).facts;
  if (!facts) return undefined;
  const context = inferContext(node.op, node.inputs, node.attributes, node.regions);
  return facts(context)[value.index];
});

/** Floats whose storage holds numbers take part: sizes are often scaled in them. */
function hasFacts(dtype: DType): boolean {
  return isInteger(dtype) || dtype === 'bool' || dtype === 'float32' || dtype === 'float64';
}

function constantFacts(data: ConstantData): readonly Dim[] | undefined {
  if (data.dtype === 'int4' || data.dtype === 'uint4' || data.dtype === 'int2' || data.dtype === 'uint2')
    return undefined;
  const out: number[] = [];
  for (const v of data.tensor.data as Iterable<number | bigint>) {
    const n = Number(v);
    if (!Number.isSafeInteger(n) || Object.is(n, -0)) return undefined;
    out.push(n);
  }
  return out;
}

/**
 * What is known of the single elements of a short integer vector (or scalar): a shape put together of known extents
 * and ones that only the run computes. undefined: not even their number is known.
 */
export function elementFacts(value: Value): readonly (Dim | undefined)[] | undefined {
  const { type, node } = value;
  const whole = inferFacts(value);
  if (whole) return whole;
  if (type.kind !== 'tensor' || type.dims === undefined || type.dims.length > 1 || !isInteger(type.dtype))
    return undefined;
  const count = type.dims[0] ?? 1;
  if (typeof count !== 'number' || count > maxFactElements) return undefined;
  return structuralFacts(node) ?? new Array<undefined>(count).fill(undefined);
}

function structuralFacts(node: Node): readonly (Dim | undefined)[] | undefined {
  const inputs = node.inputs.map((v) => (v ? elementFacts(v) : undefined));
  switch (node.op) {
    case 'concat':
      return inputs.every((list) => list !== undefined) ? inputs.flat() : undefined;
    case 'reshape':
      return inputs[0];
    case 'slice': {
      const [start, size, step] = ['starts', 'sizes', 'steps'].map(
        (name) => (node.attributes[name] as readonly Dim[])[0],
      );
      const list = inputs[0];
      if (!list || typeof start !== 'number' || typeof size !== 'number' || typeof step !== 'number') return undefined;
      return Array.from({ length: size }, (_, i) => list[start + i * step]);
    }
    default:
      return undefined;
  }
}
