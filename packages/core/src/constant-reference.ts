/** Constants inside operators of a plan: bytes lie in the weights section, strings inline. */

import type { EmitContext, ExecutorContext } from './backend.js';
import { ConstantData } from './constant.js';
import { byteLength, isDType } from './dtype.js';
import { TensorwrightError } from './errors.js';
import type { ConstantReference } from './serialize.js';
import { elementCount, Tensor } from './tensor.js';

export function constantReference(data: ConstantData, context: EmitContext): ConstantReference {
  const { dtype, dims } = data;
  if (dtype === 'string') return { dtype, dims, strings: data.tensor.data };
  return { dtype, dims, ...context.constant(data) };
}

/** @throws ERR_INVALID_PLAN when the reference is malformed */
export function readConstant(reference: ConstantReference, context: ExecutorContext): ConstantData {
  const { dtype, dims, strings, offset, bytes } = reference as Record<string, unknown>;
  if (typeof dtype !== 'string' || !isDType(dtype) || !isDims(dims)) return malformed('dtype or dims');
  if (dtype === 'string') {
    if (!Array.isArray(strings)) return malformed('strings');
    return ConstantData.of(new Tensor('string', strings as readonly string[], dims));
  }
  if (bytes !== byteLength(dtype, elementCount(dims))) return malformed('bytes');
  // Sizes that do not fit the section are refused now, the bytes are read when first asked for.
  const section = context.weights(offset as number, bytes);
  return new ConstantData(dtype, dims, () => Tensor.fromBytes(dtype, section, dims));
}

function isDims(dims: unknown): dims is number[] {
  return Array.isArray(dims) && dims.every((d) => Number.isSafeInteger(d) && d >= 0);
}

function malformed(field: string): never {
  throw new TensorwrightError('ERR_INVALID_PLAN', `a constant's ${field} is malformed`, { field });
}
