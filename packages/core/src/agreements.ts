/**
 * Agreements: extents that an operator needs to be equal and that inference cannot tell from each other. The plan carries
 * those that the shapes of inputs decide, and a run checks them before its first kernel.
 */

import type { Dim } from './dim.js';
import type { Node } from './graph.js';

export interface Agreement {
  readonly left: Dim;
  readonly right: Dim;
  /** Which of the two may be 1 instead, as broadcasting allows. */
  readonly mayBeOne: 'neither' | 'either' | 'right';
  /** What they are, in the plural: "extents of label 'k'". */
  readonly what: string;
}

const agreements = new WeakMap<Node, readonly Agreement[]>();

export function setAgreements(node: Node, list: readonly Agreement[]): void {
  agreements.set(node, list);
}

/** What inference of the node took on trust; of the nodes in its regions nothing. */
export function agreementsOf(node: Node): readonly Agreement[] {
  return agreements.get(node) ?? [];
}
