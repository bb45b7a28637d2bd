/** Layers that move elements: shuffle, slice, padding, concatenation. */

import { type Dim, type DimSymbol, dimSymbols } from '../dim.js';
import type { Value } from '../graph.js';
import { resolveReshape } from '../operators/size-conventions.js';
import type { LayerBuilder } from './layers.js';

export interface ShuffleParameters {
  readonly firstTranspose?: readonly number[];
  /** Extents; 0 keeps the one of the input, -1 takes the rest. */
  readonly reshape?: readonly Dim[];
  readonly secondTranspose?: readonly number[];
  /** Whether 0 in `reshape` keeps an extent. Default: true. */
  readonly zeroIsPlaceholder?: boolean;
}

export function shuffle(l: LayerBuilder, x: Value, p: ShuffleParameters): Value {
  let y = transposed(l, x, p.firstTranspose);
  if (p.reshape) {
    const dims = resolveReshape(l.dims(y), p.reshape, p.zeroIsPlaceholder === false);
    y = l.op('reshape', [y], { dims: typeof dims === 'string' ? l.fail(dims) : dims });
  }
  return transposed(l, y, p.secondTranspose);
}

function transposed(l: LayerBuilder, x: Value, perm: readonly number[] | undefined): Value {
  return perm === undefined ? x : l.op('transpose', [x], { perm });
}

export const sampleModes = ['strict', 'wrap', 'clamp', 'fill', 'reflect'] as const;
export type SampleMode = (typeof sampleModes)[number];

export interface SliceParameters {
  readonly start: readonly Dim[];
  readonly size: readonly Dim[];
  /** Default: 1 along every axis. */
  readonly stride?: readonly Dim[];
  /** What lies outside of the input. Default: strict, nothing may. */
  readonly mode?: SampleMode;
  /** With mode 'fill': the value. Default: 0. */
  readonly fill?: Value;
}

const padModeOf = { wrap: 'wrap', clamp: 'edge', fill: 'constant', reflect: 'reflect' } as const;

export function slice(l: LayerBuilder, x: Value, p: SliceParameters): Value {
  const mode = l.choice(p.mode ?? 'strict', sampleModes, 'sample mode');
  const steps = p.stride ?? p.start.map(() => 1);
  if (mode === 'strict') return l.op('slice', [x], { starts: p.start, sizes: p.size, steps });
  // Outside counts: the input is padded as far as the slice reaches.
  const dims = l.dims(x);
  const all = [...dims, ...p.start, ...p.size, ...steps];
  if (!all.every((d) => typeof d === 'number'))
    return l.fail(`mode '${mode}' needs extents, start, size and stride that are numbers, has ${symbolNames(all)}`);
  const [extents, start, size] = [dims, p.start, p.size] as [number[], number[], number[]];
  const reach = extents.map((extent, i) => {
    const last = start[i]! + Math.max(0, size[i]! - 1) * (steps[i] as number);
    return { low: Math.max(0, -Math.min(start[i]!, last)), high: Math.max(0, Math.max(start[i]!, last) - extent + 1) };
  });
  const low = reach.map((r) => r.low);
  const padded = l.op('pad', [x, mode === 'fill' ? p.fill : undefined], {
    low,
    high: reach.map((r) => r.high),
    mode: padModeOf[mode],
  });
  return l.op('slice', [padded], { starts: start.map((s, i) => s + low[i]!), sizes: size, steps });
}

function symbolNames(dims: readonly Dim[]): string {
  const symbols = new Set<DimSymbol>();
  for (const d of dims) dimSymbols(d, symbols);
  return [...symbols].map((s) => `'${s.name}'`).join(', ');
}
