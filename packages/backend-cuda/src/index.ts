export { cudaBackend } from './backend.js';
export { productWorks, type WorkedProduct } from './product-works.js';
export { type Coefficients, coefficientsOf, type FamilyCoefficients } from './tactics/contraction/coefficients.js';
export { type Family, foresee, type Work } from './tactics/contraction/model.js';
