/** Which sizes of the clusters that excite are tried with which shapes of the kernel before them. */

import { machineOf } from '../contraction/machine.js';
import { clusterSizes } from './cost.js';

export interface Pairing<Shape> {
  readonly shape: Shape;
  /** Blocks of a cluster. */
  readonly parts: number;
  /** Microseconds of both. */
  readonly estimate: number;
}

/**
 * Each shape with the size that suits it best, and the first one of all also with the next best size: the two kernels
 * run one after the other, so that neither's best choice says anything of the other's.
 * @param exciteMicroseconds of what excites behind a shape, by clusters of so many blocks
 */
export function pairings<Shape extends { readonly estimate: number }>(
  shapes: readonly Shape[],
  exciteMicroseconds: (shape: Shape, parts: number) => number,
): readonly Pairing<Shape>[] {
  const sizes = machineOf().clusters ? clusterSizes : [1];
  const byTime = (a: Pairing<Shape>, b: Pairing<Shape>): number => a.estimate - b.estimate;
  const all = shapes.map((shape) =>
    sizes.map((parts) => ({ shape, parts, estimate: shape.estimate + exciteMicroseconds(shape, parts) })).sort(byTime),
  );
  const [first] = all.toSorted(([a], [b]) => byTime(a!, b!));
  return [...all.flatMap(([best]) => best ?? []), ...(first?.slice(1, 2) ?? [])].sort(byTime);
}
