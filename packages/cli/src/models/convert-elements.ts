/** Elements of a file in the dtype of the input or output that they are for: rounded where both are floats, else exactly. */

import {
  type DType,
  dtypeInfo,
  isBig,
  isFloat,
  isInteger,
  readIntegers,
  readNumbers,
  type Tensor,
  tensorFromNumbers,
  tensorOf,
} from '@tensorwright/core';

/**
 * NumPy's default dtypes are wide ones, and it has not all of ours.
 * @param name of the input or output, for errors
 * @throws Error that names the first element which the dtype does not hold, and for dtypes of another kind
 */
export function convertElements(tensor: Tensor, name: string, dtype: DType): Tensor {
  if (tensor.dtype === dtype) return tensor;
  if (isFloat(tensor.dtype) && isFloat(dtype)) return convertFloats(tensor, name, dtype);
  if (isInteger(tensor.dtype) && isInteger(dtype)) return convertIntegers(tensor, name, dtype);
  throw new Error(`it has ${tensor.dtype} elements, and '${name}' is ${dtype}`);
}

function convertFloats(tensor: Tensor, name: string, dtype: DType): Tensor {
  const numbers = readNumbers(tensor);
  // What is out of range becomes infinity or NaN, and so tells itself.
  const converted = tensorFromNumbers(dtype, numbers, tensor.dims, { saturate: false });
  const results = readNumbers(converted);
  const beyond = numbers.findIndex((x, i) =>
    Number.isFinite(x) ? !Number.isFinite(results[i]) : !Object.is(x, results[i]),
  );
  if (beyond >= 0) throw doesNotFit(tensor, name, dtype, beyond, numbers[beyond]!);
  return converted;
}

function convertIntegers(tensor: Tensor, name: string, dtype: DType): Tensor {
  const { bits, class: kind } = dtypeInfo(dtype);
  const integers = readIntegers(tensor);
  for (const [i, x] of integers.entries()) {
    const own = kind === 'int' ? BigInt.asIntN(bits, x) : BigInt.asUintN(bits, x);
    if (own !== x) throw doesNotFit(tensor, name, dtype, i, x);
  }
  return tensorOf(dtype, isBig(dtype) ? Array.from(integers) : Array.from(integers, Number), tensor.dims);
}

function doesNotFit({ dims }: Tensor, name: string, dtype: DType, at: number, value: number | bigint): Error {
  let rest = at;
  const place = [...dims].reverse().map((extent) => {
    const index = rest % extent;
    rest = Math.floor(rest / extent);
    return index;
  });
  return new Error(`element [${place.reverse().join(', ')}] is ${value}, which '${name}' of ${dtype} does not hold`);
}
