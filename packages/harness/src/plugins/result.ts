/** What the program writes of a run. */

import type { FloatType } from './case.js';
import type { Timing } from './timing.js';

export interface Result extends Partial<Timing> {
  readonly plugin: string;
  readonly problem: string;
  readonly float: FloatType;
  readonly part: 'plugin' | 'standard';
  /** Of the worst output, as a share of its largest value by the formula; null where it did not run. */
  readonly error: number | null;
  /** Why it did not run. */
  readonly failure?: string;
}
