/** Pieces of a step's scratch memory, each aligned to 256 bytes. */

import { addDims, ceilDivDims, type Dim, mulDims } from '@tensorwright/core';

export class Workspace {
  #end: Dim = 0;

  /** The offset of a new piece. */
  take(bytes: Dim): Dim {
    const offset = this.#end;
    this.#end = addDims(offset, mulDims(ceilDivDims(bytes, 256), 256));
    return offset;
  }

  /** Of all pieces. */
  get bytes(): Dim {
    return this.#end;
  }
}
