/** All tactics. Those that take a group compete; the estimate ranks them and time decides. */

import { libraryTactic } from '@tensorwright/core';
import type { Tactic } from '../tactic.js';
import { argReduce } from './arg-reduce.js';
import { attentionHopper } from './attention-hopper.js';
import { linearAttention } from './attention-linear.js';
import { attentionScores } from './attention-scores.js';
import { attention } from './attention.js';
import { contraction } from './contraction.js';
import { control } from './control.js';
import { cublaslt } from './cublaslt.js';
import { cudnn } from './cudnn.js';
import { cumulative } from './cumulative.js';
import { deformProduct } from './deform-product.js';
import { depthwise } from './depthwise.js';
import { excitation } from './excitation.js';
import { expandedExcitation } from './expanded-excitation.js';
import { gemv } from './gemv.js';
import { hopper } from './hopper.js';
import { invertedResidual } from './inverted-residual.js';
import { map } from './map.js';
import { movement } from './movement.js';
import { norm } from './norm.js';
import { normalizedProduct } from './normalized-product.js';
import { refuseOperands } from './operands.js';
import { operatorTactics } from './operators/index.js';
import { provided } from './provided.js';
import { pooledExcitation } from './pooled-excitation.js';
import { pooledStem } from './pooled-stem.js';
import { reduce } from './reduce.js';
import { rotary } from './rotary.js';
import { softmax } from './softmax.js';
import { stem } from './stem.js';

export const tactics: readonly Tactic[] = [
  contraction,
  cublaslt,
  cudnn,
  hopper,
  normalizedProduct,
  gemv,
  depthwise,
  deformProduct,
  excitation,
  pooledExcitation,
  expandedExcitation,
  invertedResidual,
  stem,
  pooledStem,
  map,
  movement,
  reduce,
  argReduce,
  softmax,
  norm,
  cumulative,
  attention,
  attentionHopper,
  attentionScores,
  linearAttention,
  rotary,
  control,
  ...operatorTactics,
  provided,
  libraryTactic('cuda', refuseOperands),
];
