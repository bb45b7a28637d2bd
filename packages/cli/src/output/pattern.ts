/** How often a plugin took the place of a subgraph, as a line. */

import type { PatternReport } from '@tensorwright/core';

export function describePattern({ plugin, pattern, matches }: PatternReport): string {
  return `plugin ${plugin}: ${pattern} matched ${matches} ${matches === 1 ? 'time' : 'times'}`;
}
