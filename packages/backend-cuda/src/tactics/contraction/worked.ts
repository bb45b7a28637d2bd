/** Candidates with what the model of the product kernels sees of them. */

import type { CandidateOutline } from '../../tactic.js';
import { coefficientsOf } from './coefficients.js';
import { machineOf } from './machine.js';
import { foresee, type Work } from './model.js';

export interface WorkedCandidate extends CandidateOutline {
  readonly work: Work;
}

export function worked(work: Work, outline: Omit<CandidateOutline, 'estimate'>): WorkedCandidate {
  return { ...outline, work, estimate: foresee(work, coefficientsOf(machineOf().architecture)) };
}
