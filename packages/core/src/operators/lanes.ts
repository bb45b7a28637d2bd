/** Walking a tensor along one axis: its lanes, each a run of elements a fixed step apart. */

/** Calls `visit` with the offset of each lane's first element; element k of a lane is at `start + k * step`. */
export function forEachLane(
  dims: readonly number[],
  axis: number,
  visit: (start: number, step: number, length: number, lane: number) => void,
): void {
  const length = dims[axis]!;
  let step = 1;
  for (const d of dims.slice(axis + 1)) step *= d;
  let outer = 1;
  for (const d of dims.slice(0, axis)) outer *= d;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < step; i++) visit(o * length * step + i, step, length, o * step + i);
  }
}
