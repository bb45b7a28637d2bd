/** Convolution, deconvolution, pooling: layers that slide over the axes behind batch and channels. */

import { type Dim, formatDims } from '../dim.js';
import type { Value } from '../graph.js';
import type { LayerBuilder } from './layers.js';
import type { NetworkTensor } from './tensor.js';

export interface ConvolutionOptions {
  readonly bias?: NetworkTensor;
  /** Default: 1. */
  readonly stride?: readonly number[];
  /** Default: 1. */
  readonly dilation?: readonly number[];
  /** In front of and behind each axis. Default: 0. */
  readonly prePadding?: readonly number[];
  readonly postPadding?: readonly number[];
  /** Both sides alike. */
  readonly padding?: readonly number[];
  /** Default: 1. */
  readonly groups?: number;
}

export interface DeconvolutionOptions extends ConvolutionOptions {
  readonly outputPadding?: readonly number[];
}

export type PoolingType = 'max' | 'average' | 'lp';

export interface PoolingOptions {
  /** Default: the window's size, as in TensorRT. */
  readonly stride?: readonly number[];
  readonly dilation?: readonly number[];
  readonly padding?: readonly number[];
  readonly prePadding?: readonly number[];
  readonly postPadding?: readonly number[];
  /** Whether the last window may reach past the padding. Default: false. */
  readonly ceilMode?: boolean;
  /** Whether averages leave the padding out. Default: true. */
  readonly averageExcludesPadding?: boolean;
  /** The norm of 'lp'. Default: 2. */
  readonly p?: number;
}

interface Window {
  readonly stride?: readonly number[];
  readonly dilation?: readonly number[];
  readonly padding?: readonly number[];
  readonly prePadding?: readonly number[];
  readonly postPadding?: readonly number[];
}

function windowAttributes(
  l: LayerBuilder,
  x: Value,
  w: Window,
  stride: readonly number[],
): { strides: readonly number[]; dilations: readonly number[]; pads: number[] } {
  const dims: readonly Dim[] = l.dims(x);
  const spatial = dims.length - 2;
  if (spatial < 1) l.fail(`${formatDims(dims)} has no axes behind batch and channels`);
  const list = (name: keyof Window, values: readonly number[]): readonly number[] => {
    if (values.length !== spatial || values.some((v) => !Number.isInteger(v)))
      l.fail(`${name} [${values.join(', ')}] must be ${String(spatial)} integers`);
    return values;
  };
  const each = (value: number): number[] => new Array<number>(spatial).fill(value);
  const both = w.padding ?? each(0);
  const pads = [...list('prePadding', w.prePadding ?? both), ...list('postPadding', w.postPadding ?? both)];
  return { strides: list('stride', w.stride ?? stride), dilations: list('dilation', w.dilation ?? each(1)), pads };
}

export function convolution(l: LayerBuilder, x: Value, kernel: Value, o: ConvolutionOptions): Value {
  const window = windowAttributes(
    l,
    x,
    o,
    l
      .dims(x)
      .slice(2)
      .map(() => 1),
  );
  return l.op('conv', [x, kernel, o.bias && l.value(o.bias, 'bias')], { ...window, group: o.groups ?? 1 });
}

export function deconvolution(l: LayerBuilder, x: Value, kernel: Value, o: DeconvolutionOptions): Value {
  const spatial = l
    .dims(x)
    .slice(2)
    .map(() => 1);
  const window = windowAttributes(l, x, o, spatial);
  const outputPadding = o.outputPadding ?? spatial.map(() => 0);
  return l.op('convTranspose', [x, kernel, o.bias && l.value(o.bias, 'bias')], {
    ...window,
    outputPadding,
    group: o.groups ?? 1,
  });
}

export function pooling(
  l: LayerBuilder,
  x: Value,
  type: PoolingType,
  windowSize: readonly number[],
  o: PoolingOptions,
): Value {
  return l.op('pool', [x], {
    kind: l.choice(type, ['max', 'average', 'lp'], 'pooling'),
    kernelShape: windowSize,
    ...windowAttributes(l, x, o, windowSize),
    ceilMode: o.ceilMode ?? false,
    countIncludePad: o.averageExcludesPadding === false,
    p: o.p ?? 2,
  });
}
