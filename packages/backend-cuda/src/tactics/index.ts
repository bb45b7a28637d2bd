/** All tactics. Those that take a group compete; the estimate ranks them and time decides. */

import type { Tactic } from '../tactic.js';
import { contraction } from './contraction.js';
import { map } from './map.js';
import { movement } from './movement.js';

export const tactics: readonly Tactic[] = [contraction, map, movement];
