/** Every kind of kernel that random problems are made for. */

import type { Family } from '../problem.js';
import { gather, join, permute, resize, scatter } from './movement.js';
import { attention, batchedProduct, product } from './products.js';
import { cumulative, groupNorm, layerNorm, reduction, softmax, topK } from './rows.js';
import { convolution, deconvolution, deformable, pooling, stem } from './windows.js';

export const families: readonly Family[] = [
  product,
  batchedProduct,
  attention,
  convolution,
  deconvolution,
  deformable,
  pooling,
  stem,
  softmax,
  layerNorm,
  groupNorm,
  reduction,
  cumulative,
  topK,
  permute,
  join,
  gather,
  scatter,
  resize,
];
