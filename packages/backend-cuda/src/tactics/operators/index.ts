/** Tactics of single operators. */

import type { Tactic } from '../../tactic.js';
import { gather } from './gather.js';
import { lrn } from './lrn.js';
import { oneHot, reverseSequence } from './one-hot.js';
import { maxPoolWithIndices, pool } from './pool.js';

export const operatorTactics: readonly Tactic[] = [gather, pool, maxPoolWithIndices, lrn, oneHot, reverseSequence];
