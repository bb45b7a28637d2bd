/** Tactics of single operators. */

import type { Tactic } from '../../tactic.js';
import { gather } from './gather.js';
import { lrn } from './lrn.js';
import { oneHot, reverseSequence } from './one-hot.js';
import { maxPoolWithIndices, pool } from './pool.js';
import { random } from './random.js';
import { range } from './range.js';
import { resize } from './resize.js';
import { scatter, tensorScatter } from './scatter.js';
import { topK } from './top-k.js';

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
];
