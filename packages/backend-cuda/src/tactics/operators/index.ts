/** Tactics of single operators. */

import type { Tactic } from '../../tactic.js';
import { gather } from './gather.js';

export const operatorTactics: readonly Tactic[] = [gather];
