/** All tactics of this backend; the first that takes a group offers its candidates. */

import { libraryTactic } from '@tensorwright/core';
import type { Tactic } from '../tactic.js';
import { contraction } from './contraction.js';
import { control } from './control.js';
import { generic } from './generic.js';
import { map } from './map.js';
import { movement } from './movement.js';
import { refuseOperands } from './operands.js';
import { reduce } from './reduce.js';

export const tactics: readonly Tactic[] = [
  control,
  contraction,
  reduce,
  movement,
  map,
  generic,
  libraryTactic('cpu', refuseOperands),
];
