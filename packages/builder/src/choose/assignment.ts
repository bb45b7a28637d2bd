/** What was chosen for each node that becomes a step. */

import type { Backend, Candidate, Node } from '@tensorwright/core';

export interface Assignment {
  readonly backend: Backend;
  readonly candidate: Candidate;
  /** Median of the measurement, where there was one. */
  readonly nanoseconds?: number;
}

export type Assignments = ReadonlyMap<Node, Assignment>;
