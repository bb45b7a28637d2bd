/** Convolutions of every kind, and pooling. */

import type { Operand } from '../../plugins/case.js';
import type { Random } from '../../plugins/random.js';
import { batched, constant, type Family } from '../problem.js';
import { epilogue } from './epilogue.js';
import { one } from './one.js';

interface Window {
  readonly extents: readonly number[];
  readonly taps: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly prePadding: readonly number[];
  readonly postPadding: readonly number[];
}

function windowOf(random: Random, rank: number, dilations: readonly number[]): Window {
  const axes = Array.from({ length: rank }, () => {
    const taps = one(random, [1, 1, 2, 3, 3, 3, 5, 7]);
    const dilation = one(random, dilations);
    const reach = (taps - 1) * dilation + 1;
    const pad = one(random, [true, true, false]) ? reach >> 1 : random.integer(Math.min(3, taps));
    const extent = Math.max(reach, one(random, rank === 3 ? [5, 8, 9] : [7, 12, 14, 17, 28, 33]));
    return { extent, taps, dilation, pad, after: Math.min(taps - 1, pad), stride: one(random, [1, 1, 2, 3]) };
  });
  return {
    extents: axes.map((a) => a.extent),
    taps: axes.map((a) => a.taps),
    stride: axes.map((a) => a.stride),
    dilation: axes.map((a) => a.dilation),
    prePadding: axes.map((a) => Math.min(a.taps - 1, a.pad)),
    postPadding: axes.map((a) => a.after),
  };
}

function resultExtents(w: Window): number[] {
  return w.extents.map((extent, i) => {
    const room = extent + w.prePadding[i]! + w.postPadding[i]! - w.dilation[i]! * (w.taps[i]! - 1) - 1;
    return Math.floor(room / w.stride[i]!) + 1;
  });
}

const divisorsOf = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1).filter((d) => n % d === 0);

export const convolution: Family = {
  name: 'convolution',
  problem(random) {
    const rank = one(random, [2, 2, 2, 2, 1, 3]);
    const kind = one(random, ['dense', 'dense', 'dense', 'grouped', 'depthwise']);
    const channels = one(random, [1, 3, 4, 8, 13, 16, 24, 32, 64, 72, 96]);
    const groups = kind === 'dense' ? 1 : kind === 'depthwise' ? channels : one(random, divisorsOf(channels));
    const filters = kind === 'dense' ? one(random, [1, 7, 8, 16, 40, 64, 96]) : groups * one(random, [1, 1, 2, 8]);
    const { extents, taps, ...window } = windowOf(random, rank, [1, 1, 1, 2, 3]);
    const batch = one(random, [1, 2, 3]);
    const dims = [batch, filters, ...resultExtents({ extents, taps, ...window })];
    const after = epilogue(random, dims, [filters, ...taps.map(() => 1)]);
    return {
      name:
        `${[batch, channels, ...extents].join('x')} by ${[filters, channels / groups, ...taps].join('x')}, ` +
        `stride ${window.stride.join(' ')}, dilation ${window.dilation.join(' ')}, pads ${window.prePadding.join(' ')}, ${after.name}`,
      operands: {
        x: batched(random.floats([batch, channels, ...extents])),
        kernel: constant(random.floats([filters, channels / groups, ...taps])),
        ...after.operands,
      },
      layers: (network, o) =>
        after.follow(network, network.addConvolution(o['x']!, o['kernel']!, { ...window, groups }), o),
    };
  },
};

export const deconvolution: Family = {
  name: 'deconvolution',
  problem(random) {
    const groups = one(random, [1, 1, 2]);
    const [channels, filters] = [groups * one(random, [1, 3, 8, 20]), one(random, [1, 5, 8, 16])];
    const taps = [one(random, [2, 3, 4]), one(random, [2, 3, 4])];
    const extents = [one(random, [1, 5, 9, 14]), one(random, [4, 7, 16])];
    const stride = taps.map((t) => one(random, [1, Math.min(2, t)]));
    const padding = taps.map((t) => one(random, [0, Math.min(1, t - 1)]));
    return {
      name: `${[2, channels, ...extents].join('x')} by ${[channels, filters, ...taps].join('x')}, stride ${stride.join(' ')}, ${String(groups)} groups`,
      operands: {
        x: batched(random.floats([2, channels, ...extents])),
        kernel: constant(random.floats([channels, filters, ...taps])),
      },
      layers: (network, o) =>
        network.addActivation(network.addDeconvolution(o['x']!, o['kernel']!, { stride, padding, groups }), 'relu'),
    };
  },
};

export const deformable: Family = {
  name: 'deformable',
  problem(random) {
    const offsetGroup = one(random, [1, 1, 2, 3]);
    const group = one(random, [1, 1, 2]);
    const channels = offsetGroup * group * one(random, [1, 4, 5, 8, 16, 33]);
    const filters = group * one(random, [1, 7, 16, 40]);
    const { extents, taps, stride, dilation, prePadding, postPadding } = windowOf(random, 2, [1, 1, 2]);
    const window = { strides: stride, dilations: dilation, pads: [...prePadding, ...postPadding] };
    const batch = one(random, [1, 2, 3]);
    const result = resultExtents({ extents, taps, stride, dilation, prePadding, postPadding });
    const displaced = offsetGroup * taps[0]! * taps[1]!;
    const places = (count: number, low: number, high: number): Operand =>
      batched(random.floats([batch, count, ...result], low, high));
    const isKnown = one(random, [true, true, false]);
    const weights = random.floats([filters, channels / group, ...taps]);
    return {
      name:
        `${[batch, channels, ...extents].join('x')} by ${[filters, channels / group, ...taps].join('x')}, ` +
        `displaced by ${String(offsetGroup)}, stride ${stride.join(' ')}, dilation ${dilation.join(' ')}, pads ${window.pads.join(' ')}`,
      operands: {
        x: batched(random.floats([batch, channels, ...extents])),
        weights: isKnown ? constant(weights) : weights,
        // Some out of the image.
        offset: places(2 * displaced, -3, 3),
        bias: constant(random.floats([filters])),
        mask: places(displaced, 0, 1),
      },
      layers: (network, { x, weights: w, offset, bias, mask }) =>
        network.addOperator('deformConv', [x!, w!, offset!, bias!, mask!], { ...window, group, offsetGroup })[0]!,
    };
  },
};

export const pooling: Family = {
  name: 'pooling',
  problem(random) {
    const type = one(random, ['max', 'average', 'max', 'average', 'lp'] as const);
    const { extents, taps, dilation, ...window } = windowOf(random, one(random, [2, 2, 1, 3]), [1]);
    const [batch, channels] = [one(random, [1, 2, 3]), one(random, [1, 5, 8, 64])];
    const ceilMode = one(random, [false, true]);
    const averageExcludesPadding = one(random, [false, true]);
    return {
      name: `${type} of ${taps.join('x')} in ${[batch, channels, ...extents].join('x')}, stride ${window.stride.join(' ')}${ceilMode ? ', ceil' : ''}`,
      operands: { x: batched(random.floats([batch, channels, ...extents])) },
      layers: (network, o) =>
        network.addPooling(network.addActivation(o['x']!, 'tanh'), type, taps, {
          ...window,
          dilation,
          ...(type !== 'lp' && { ceilMode }),
          averageExcludesPadding,
        }),
    };
  },
};

/** The first layers of networks that classify images. */
export const stem: Family = {
  name: 'stem',
  problem(random) {
    const [batch, channels, filters] = [
      one(random, [1, 2, 3]),
      one(random, [3, 3, 1, 4]),
      one(random, [64, 32, 24, 9]),
    ];
    const taps = one(random, [7, 7, 3, 5]);
    const stride = one(random, [2, 2, 1]);
    const pad = one(random, [taps >> 1, 0]);
    const extents = [one(random, [29, 41, 64]), one(random, [32, 37, 58, 96, 120])];
    const pooled = one(random, [3, 3, 2]);
    const pooledPad = pooled === 3 ? one(random, [1, 0]) : 0;
    const window = { stride: [stride, stride], prePadding: [pad, pad], postPadding: [pad, pad] };
    const poolWindow = { stride: [2, 2], prePadding: [pooledPad, pooledPad], postPadding: [pooledPad, pooledPad] };
    const ceilMode = one(random, [false, true]);
    return {
      name:
        `${[batch, channels, ...extents].join('x')} by ${[filters, channels, taps, taps].join('x')}, stride ${String(stride)}, ` +
        `pad ${String(pad)}, pooled by ${String(pooled)}, pad ${String(pooledPad)}${ceilMode ? ', ceil' : ''}`,
      operands: {
        x: batched(random.floats([batch, channels, ...extents])),
        kernel: constant(random.floats([filters, channels, taps, taps])),
        bias: constant(random.floats([filters, 1, 1])),
      },
      layers: (network, o) => {
        const y = network.addConvolution(o['x']!, o['kernel']!, { ...window, groups: 1 });
        const relu = network.addActivation(network.addElementWise(y, o['bias']!, 'sum'), 'relu');
        return network.addPooling(relu, 'max', [pooled, pooled], { ...poolWindow, ceilMode });
      },
    };
  },
};
