/** A tactic that the build has dropped, as a line. */

import type { DroppedTactic } from '@tensorwright/core';

export function describeDropped({ node, tactic, parameters, code, reason }: DroppedTactic): string {
  return `${tactic} ${parameters} for ${node}: ${code}, ${reason}`;
}
