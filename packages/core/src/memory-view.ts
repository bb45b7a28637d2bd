/**
 * How the elements of a value lie in memory, over symbolic extents. Offset and strides are in elements. A step is
 * given a pointer to the view's first element: to it, the offset only says how far that is aligned.
 */

import type { Dim } from './dim.js';

export interface MemoryView {
  readonly offset: Dim;
  readonly dims: readonly Dim[];
  readonly strides: readonly Dim[];
}
