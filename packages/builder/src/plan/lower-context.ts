/** What lowering is told: the tactics that were chosen, where weights go, and how values come in and go out. */

import { type Backend, invariant, type Layout, type Node, type Provenance, type Value } from '@tensorwright/core';
import type { Assignment, Assignments } from '../choose/assignment.js';
import type { NamedAgreement } from './agreements.js';
import type { Memory } from './value-table.js';
import type { WeightSection } from './weights.js';

export interface LowerContext {
  /** Who runs the copies between layouts in the host's memory. */
  readonly copyBackend: string;
  /** The backend with a memory of its own, if there is one: it carries values over and copies within its memory. */
  readonly deviceBackend?: Backend;
  readonly assignments: Assignments;
  readonly weights: WeightSection;
  readonly provenance: Provenance;
  readonly inputNames: ReadonlyMap<Value, string>;
  /** Of the network, which its plan takes along. Default: none. */
  readonly agreements?: readonly NamedAgreement[];
  /** How inputs arrive; absent: row-major in the host's memory. Used when a tactic is timed alone. */
  readonly inputLayouts?: ReadonlyMap<Value, Layout>;
  readonly inputMemory?: Memory;
  /** Leave outputs as their steps make them. Used when a tactic is timed alone. */
  readonly keepOutputs?: boolean;
  /** Of the body of a control step: where each of its inputs and outputs lies. */
  readonly body?: BodyMemory;
  breathe(): Promise<void>;
}

export interface BodyMemory {
  readonly inputs: readonly Memory[];
  readonly outputs: readonly Memory[];
}

/** @throws ERR_INTERNAL where no tactic was chosen */
export function assignmentOf(node: Node, context: LowerContext): Assignment {
  const assignment = context.assignments.get(node);
  invariant(assignment, `no tactic was chosen for ${node.op}`);
  return assignment;
}
