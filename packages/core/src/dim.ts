/** Symbolic dimensions. */

export { type Bounds, dimBounds, provablyLessOrEqual } from './dim/bounds.js';
export { compileDim, type DimCode } from './dim/code.js';
export {
  addDims,
  asSymbol,
  createSymbol,
  type Dim,
  DimExpression,
  type DimFunction,
  dimKey,
  dimsKey,
  type DimSymbol,
  dimSymbols,
  formatDim,
  formatDims,
  mulDims,
  negDim,
  productOf,
  provablyEqual,
  subDims,
  symbolDim,
  unboundedExtent,
} from './dim/expression.js';
export {
  applyDimFunction,
  ceilDivDims,
  evaluateDim,
  exactQuotient,
  extremeOperands,
  floorDivDims,
  maxDims,
  minDims,
  modDims,
  provablyDivisible,
  substituteDim,
} from './dim/functions.js';
