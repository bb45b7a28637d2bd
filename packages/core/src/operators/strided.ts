/** Moving elements by strides: the one loop behind all movement operators, over typed arrays, strings and dims alike. */

/** What elements lie in: a typed array, or a plain array of strings or dims. */
export interface Movable {
  readonly length: number;
  [index: number]: unknown;
}

/** Row-major strides, in elements. */
export function rowMajorStrides(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length);
  let stride = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= dims[i]!;
  }
  return strides;
}

/** A box of elements: the first one's index and the step along each axis. */
export interface StridedView {
  readonly offset: number;
  readonly strides: readonly number[];
}

/** target[view of target] = source[view of source] over the box `dims`. */
export function copyStrided(
  source: Movable,
  from: StridedView,
  target: Movable,
  to: StridedView,
  dims: readonly number[],
): void {
  if (dims.includes(0)) return;
  const merged = mergeAxes(dims, from.strides, to.strides);
  const rank = merged.dims.length;
  const inner = rank === 0 ? 1 : merged.dims[rank - 1]!;
  const innerFrom = rank === 0 ? 0 : merged.from[rank - 1]!;
  const innerTo = rank === 0 ? 0 : merged.to[rank - 1]!;
  const block =
    innerFrom === 1 && innerTo === 1 && inner >= 16 && ArrayBuffer.isView(source) && ArrayBuffer.isView(target);
  const index = new Array<number>(Math.max(rank - 1, 0)).fill(0);
  let s = from.offset;
  let t = to.offset;
  for (;;) {
    if (block) {
      (target as unknown as Uint8Array).set((source as unknown as Uint8Array).subarray(s, s + inner), t);
    } else {
      for (let k = 0, a = s, b = t; k < inner; k++, a += innerFrom, b += innerTo) target[b] = source[a];
    }
    let axis = rank - 2;
    for (; axis >= 0; axis--) {
      s += merged.from[axis]!;
      t += merged.to[axis]!;
      if (++index[axis]! < merged.dims[axis]!) break;
      s -= merged.from[axis]! * merged.dims[axis]!;
      t -= merged.to[axis]! * merged.dims[axis]!;
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/** Joins neighbouring axes that both sides walk evenly, and drops axes of extent 1. */
function mergeAxes(
  dims: readonly number[],
  from: readonly number[],
  to: readonly number[],
): { dims: number[]; from: number[]; to: number[] } {
  const out = { dims: [] as number[], from: [] as number[], to: [] as number[] };
  dims.forEach((d, i) => {
    if (d === 1) return;
    const last = out.dims.length - 1;
    if (last >= 0 && out.from[last] === from[i]! * d && out.to[last] === to[i]! * d) {
      out.dims[last]! *= d;
      out.from[last] = from[i]!;
      out.to[last] = to[i]!;
    } else {
      out.dims.push(d);
      out.from.push(from[i]!);
      out.to.push(to[i]!);
    }
  });
  return out;
}

/** Strides that read an array of `dims` as if broadcast to `target` (numpy rules). */
export function broadcastStrides(dims: readonly number[], target: readonly number[]): number[] {
  const strides = rowMajorStrides(dims);
  const lead = target.length - dims.length;
  return target.map((_, i) => (i < lead || dims[i - lead] === 1 ? 0 : strides[i - lead]!));
}
