/** Convolutions of every kind that libraries take, made from a number: the same in every run. */

import type { DType } from '@tensorwright/core';

const epilogues = [
  'none',
  'bias',
  'relu',
  'residual',
  'residualRelu',
  'scale',
  'clip',
  'silu',
  'hardSwish',
  'gelu',
  'sigmoid',
] as const;
export type Epilogue = (typeof epilogues)[number];

export interface Problem {
  readonly name: string;
  readonly dtype: DType;
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly group: number;
  readonly tf32: boolean;
  /** What follows; everything but 'none' adds a bias first. */
  readonly epilogue: Epilogue;
}

export function problem(index: number): Problem {
  let state = (index + 1) * 7919;
  const below = (n: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * n);
  };
  const one = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const dtype = one<DType>(['float16', 'float16', 'bfloat16', 'float32']);
  const rank = one([2, 2, 2, 2, 1, 3]);
  const kind = one(['dense', 'dense', 'dense', 'grouped', 'depthwise']);
  const channels = one([1, 3, 8, 13, 16, 24, 32, 64, 72, 96, 128]);
  const group = kind === 'dense' ? 1 : kind === 'depthwise' ? channels : one(divisorsOf(channels));
  const filters = kind === 'dense' ? one([1, 7, 8, 16, 40, 64, 96]) : group * one([1, 1, 2, 8]);
  const axes = Array.from({ length: rank }, () => {
    const taps = one([1, 1, 2, 3, 3, 3, 5, 7]);
    const dilation = one([1, 1, 1, 2, 3]);
    const [before, after] = one([true, true, false])
      ? [(taps >> 1) * dilation, (taps >> 1) * dilation]
      : [below(3), below(3)];
    const extent = Math.max((taps - 1) * dilation + 1, one(rank === 3 ? [5, 8, 9] : [7, 12, 14, 17, 28, 33]));
    return { taps, dilation, before, after, extent, stride: one([1, 1, 2, 3]) };
  });
  const p = {
    dtype,
    x: [one([1, 2, 3, 8]), channels, ...axes.map((a) => a.extent)],
    w: [filters, channels / group, ...axes.map((a) => a.taps)],
    strides: axes.map((a) => a.stride),
    dilations: axes.map((a) => a.dilation),
    pads: [...axes.map((a) => a.before), ...axes.map((a) => a.after)],
    group,
    tf32: dtype === 'float32' && one([true, false, false]),
    epilogue: one(epilogues),
  };
  const name = `${String(index)}: ${dtype}${p.tf32 ? ' tf32' : ''} ${p.x.join('x')} by ${p.w.join('x')}, ${p.epilogue}`;
  return { name, ...p };
}

function divisorsOf(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i + 1).filter((d) => n % d === 0);
}
