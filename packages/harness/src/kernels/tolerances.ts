/** Errors of random problems that the arithmetic explains. */

import type { FloatType } from '../plugins/case.js';

/** What is lost by rounding operands in products of tensor cores and results once; in float32 by the order of sums. */
export const tolerances: Readonly<Record<FloatType, number>> = { float32: 2e-5, float16: 5e-3, bfloat16: 3e-2 };
