/** Backends that run what nobody else runs: functions for the processor, and the operators' own evaluation. */

import type { Backend } from '@tensorwright/core';

/** Evaluates operators as they are written: no groups, no chains. */
export function isReference(backend: Backend): boolean {
  return backend.name === 'reference';
}

export function isLastResort(backend: Backend): boolean {
  return backend.implicit === true || isReference(backend);
}

/** The user's order, with backends that nobody names at its end, but before a reference that would run anything. */
export function withImplicit(chosen: readonly Backend[], implicit: readonly Backend[]): readonly Backend[] {
  const unnamed = implicit.filter((b) => !chosen.includes(b));
  const last = chosen.findLastIndex((b) => !isReference(b)) + 1;
  return [...chosen.slice(0, last), ...unnamed, ...chosen.slice(last)];
}
