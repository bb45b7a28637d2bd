/** The pipeline, in order. Backend assignment, tactics and the plan follow in `builder.ts`. */

import type { Pass } from './pass.js';
import { foldConstants, foldIntegerConstants } from './passes/canonicalise/fold-constants.js';
import { mapAlgebra } from './passes/canonicalise/map-algebra.js';
import { movementAlgebra } from './passes/canonicalise/movement-algebra.js';
import { settleShapes } from './passes/canonicalise/settle-shapes.js';
import { shapeFolding } from './passes/canonicalise/shape-folding.js';
import { fuseGroups } from './passes/group/fuse-groups.js';
import { fuseAttention } from './passes/numbers/attention.js';
import { mergeSiblings } from './passes/numbers/merge-siblings.js';
import { cropConvTaps } from './passes/numbers/crop-taps.js';
import { foldWeights } from './passes/numbers/fold-weights.js';
import { integerProducts } from './passes/numbers/integer-products.js';
import { fuseNorms } from './passes/numbers/normalization.js';
import { quantizedProducts } from './passes/numbers/quantized-products.js';
import { precision } from './passes/numbers/precision.js';
import { tensorFloat } from './passes/numbers/tensor-float.js';

export const pipeline: readonly Pass[] = [
  shapeFolding,
  // Before weights are folded into floats.
  integerProducts,
  foldIntegerConstants,
  quantizedProducts,
  foldConstants,
  settleShapes,
  movementAlgebra,
  mapAlgebra,
  foldConstants,
  fuseNorms,
  fuseAttention,
  mergeSiblings,
  foldWeights,
  cropConvTaps,
  precision,
  movementAlgebra,
  mapAlgebra,
  foldConstants,
  tensorFloat,
  fuseGroups,
];
