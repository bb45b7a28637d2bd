/** The floats that the stock plugins' own kernels compute with. */

import type { DType } from '@tensorwright/core';
import type { Shaped } from '../plugin.js';

export const floats: readonly ['float32', 'float16', 'bfloat16'] = ['float32', 'float16', 'bfloat16'];

/** Refuses a call whose operand holds anything else. */
export function checkFloat(operand: string, { dtype }: Pick<Shaped, 'dtype'>, fail: (message: string) => never): void {
  if (!(floats as readonly DType[]).includes(dtype))
    fail(`${operand} must be float32, float16 or bfloat16, is ${dtype}`);
}
