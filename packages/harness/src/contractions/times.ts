/** What main.ts writes and fit.ts reads. */

import type { Work } from '@tensorwright/backend-cuda';
import type { NamedProblem } from './problem.js';

export interface TimedCandidate {
  readonly tactic: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Microseconds foreseen and measured. */
  readonly estimate: number;
  readonly microseconds: number;
  /** Of kernels that the model of the product kernels ranks. */
  readonly work?: Work;
}

export interface TimedProblem extends NamedProblem {
  /** Fastest first. */
  readonly candidates: readonly TimedCandidate[];
}

export interface Times {
  readonly device: string;
  /** Problems there was no time for. */
  readonly left: number;
  readonly problems: readonly TimedProblem[];
}
