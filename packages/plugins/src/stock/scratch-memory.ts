/** Places of integers in a plugin's scratch memory, and how kernels are given them. */

import { addDims, ceilDivDims, type Dim, mulDims } from '@tensorwright/core';
import { arg } from '../launch-argument.js';
import type { SpecialArgument } from '../cuda-implementation.js';

/** The type of a kernel's parameter that is an array in scratch memory. */
export const scratchIntegers = `
struct Integers {
  i32* at;
  TW_DEVICE Integers(void* memory) : at(static_cast<i32*>(memory)) {}
  TW_DEVICE operator i32*() const { return at; }
};
`;

export interface ScratchMemory<N extends string> {
  /** Arguments of kernels: each array's beginning. */
  readonly at: Readonly<Record<N, SpecialArgument>>;
  readonly bytes: Dim;
}

/** Arrays of 32-bit integers behind each other, each at a multiple of 256 bytes. @param sizes elements of each */
export function scratchMemory<N extends string>(sizes: Readonly<Record<N, Dim>>): ScratchMemory<N> {
  let bytes: Dim = 0;
  const at = Object.entries<Dim>(sizes).map(([name, size]) => {
    const place = arg.workspace(bytes);
    bytes = addDims(bytes, mulDims(ceilDivDims(size, 64), 256));
    return [name, place];
  });
  return { at: Object.fromEntries(at) as Record<N, SpecialArgument>, bytes };
}
