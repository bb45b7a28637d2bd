/** All passes made of rules, for the test that runs every rule on its example. */

import { mapAlgebra } from './canonicalise/map-algebra.js';
import { movementAlgebra } from './canonicalise/movement-algebra.js';
import { shapeFolding } from './canonicalise/shape-folding.js';
import { fuseAttention } from './numbers/attention.js';
import { cropConvTaps } from './numbers/crop-taps.js';
import { foldWeights } from './numbers/fold-weights.js';
import { fuseNorms } from './numbers/normalization.js';
import { quantizedProducts } from './numbers/quantized-products.js';
import type { RulePass } from './rules.js';

export const rulePasses: readonly RulePass[] = [
  shapeFolding,
  movementAlgebra,
  mapAlgebra,
  quantizedProducts,
  fuseNorms,
  fuseAttention,
  foldWeights,
  cropConvTaps,
];
