/** Tactics of single operators. */

import type { Tactic } from '../../tactic.js';
import { bitCast } from './bit-cast.js';
import { col2im } from './col2im.js';
import { deformConv } from './deform-conv.js';
import { dynamicMovement } from './dynamic-movement.js';
import { fourier } from './fourier.js';
import { gather } from './gather.js';
import { gridSample } from './grid-sample.js';
import { lrn } from './lrn.js';
import { matrix } from './matrix.js';
import { maxUnpool } from './max-unpool.js';
import { nonMaxSuppression } from './non-max-suppression.js';
import { oneHot, reverseSequence } from './one-hot.js';
import { maxPoolWithIndices, pool } from './pool.js';
import { random } from './random.js';
import { range } from './range.js';
import { recurrent } from './recurrent.js';
import { reduceDynamic } from './reduce-dynamic.js';
import { resize } from './resize.js';
import { maxRoiPool } from './max-roi-pool.js';
import { roiAlign, roiAlignChannels } from './roi-align.js';
import { compress, nonZero } from './selection.js';
import { scatter, tensorScatter } from './scatter.js';
import { topK } from './top-k.js';
import { unique } from './unique.js';

export const operatorTactics: readonly Tactic[] = [
  gather,
  pool,
  maxPoolWithIndices,
  lrn,
  oneHot,
  reverseSequence,
  scatter,
  tensorScatter,
  range,
  random,
  resize,
  topK,
  bitCast,
  matrix,
  fourier,
  recurrent,
  gridSample,
  roiAlign,
  roiAlignChannels,
  maxRoiPool,
  col2im,
  deformConv,
  maxUnpool,
  nonZero,
  compress,
  dynamicMovement,
  nonMaxSuppression,
  reduceDynamic,
  unique,
];
