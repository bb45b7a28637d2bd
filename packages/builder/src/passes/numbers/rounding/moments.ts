/**
 * Means, variances and rounding errors of a tensor's elements, channel by channel, and how operators carry them on
 * where their operands are independent of each other.
 */

import { evaluateNode, type Node, Tensor } from '@tensorwright/core';

/** One entry per channel (axis 1), or one for all channels. */
export interface Moments {
  readonly mean: Float64Array;
  /** Variance among the elements of a channel. */
  readonly spread: Float64Array;
  /** Mean square of the error that all elements of a channel have in common, as a rounded weight causes it … */
  readonly common: Float64Array;
  /** … and of the error that every element has by itself. Means of many elements have less of it. */
  readonly own: Float64Array;
}

export type Entries = readonly [mean: number, spread: number, common: number, own: number];

/** Moments of `length` channels, from a function of the channel. */
export function momentsOf(length: number, entries: (channel: number) => Entries): Moments {
  const [mean, spread, common, own] = [0, 1, 2, 3].map(() => new Float64Array(length)) as [
    Float64Array<ArrayBuffer>,
    Float64Array<ArrayBuffer>,
    Float64Array<ArrayBuffer>,
    Float64Array<ArrayBuffer>,
  ];
  for (let i = 0; i < length; i++) [mean[i], spread[i], common[i], own[i]] = entries(i);
  return { mean, spread, common, own };
}

export function entriesAt(m: Moments, channel: number): Entries {
  const i = m.mean.length === 1 ? 0 : channel;
  return [m.mean[i]!, m.spread[i]!, m.common[i]!, m.own[i]!];
}

/** The same, with the error of storing every element in a format whose mean square of relative errors is `rounding`. */
export function stored(m: Moments, rounding: number): Moments {
  return { ...m, own: m.own.map((own, i) => own + rounding * (m.spread[i]! + m.mean[i]! ** 2)) };
}

/** Where a channel has one element only, what it has by itself is what all of it has in common. */
export function asShared(m: Moments): Moments {
  return { ...m, common: m.common.map((c, i) => c + m.own[i]!), own: new Float64Array(m.own.length) };
}

export function sum(a: Moments, b: Moments, sign: 1 | -1): Moments {
  return momentsOf(Math.max(a.mean.length, b.mean.length), (i) => {
    const [x, y] = [entriesAt(a, i), entriesAt(b, i)];
    return [x[0] + sign * y[0], x[1] + y[1], x[2] + y[2], x[3] + y[3]];
  });
}

export function product(a: Moments, b: Moments): Moments {
  return momentsOf(Math.max(a.mean.length, b.mean.length), (i) => {
    const [m, v, c, o] = entriesAt(a, i);
    const [n, w, d, p] = entriesAt(b, i);
    return [
      m * n,
      v * n * n + w * m * m + v * w,
      c * n * n + d * m * m,
      o * (n * n + w) + p * (m * m + v) + c * w + d * v,
    ];
  });
}

/** The sum of `count` elements of each channel; `all`: of all there are. */
export function total(m: Moments, count: number, all: boolean): Moments {
  const sums = momentsOf(m.mean.length, (i) => {
    const [mean, spread, common, own] = entriesAt(m, i);
    return [mean * count, spread * count, common * count * count, own * count];
  });
  return all ? asShared(sums) : sums;
}

/** All channels as one; several tensors together, each weighted by its number of elements. */
export function pooled(parts: readonly { readonly moments: Moments; readonly weight: number }[]): Moments {
  let [weights, mean, squares, common, own] = [0, 0, 0, 0, 0];
  for (const { moments: m, weight } of parts) {
    const share = weight / m.mean.length;
    weights += weight;
    for (let i = 0; i < m.mean.length; i++) {
      mean += share * m.mean[i]!;
      squares += share * (m.mean[i]! ** 2 + m.spread[i]!);
      common += share * m.common[i]!;
      own += share * m.own[i]!;
    }
  }
  mean /= weights;
  return momentsOf(1, () => [mean, Math.max(0, squares / weights - mean * mean), common / weights, own / weights]);
}

/** Root-mean-square error over the standard deviation of all elements; over their mean where they are all the same. */
export function relativeError(m: Moments): number {
  const all = pooled([{ moments: m, weight: 1 }]);
  const squares = all.spread[0]! > 1e-24 ? all.spread[0]! : Math.max(1e-24, all.mean[0]! ** 2);
  return Math.sqrt((all.common[0]! + all.own[0]!) / squares);
}

/** Quantiles of the positive half of 24 equally likely parts of a normal distribution, scaled to variance 1. */
const halfNormal = [0.0536, 0.1615, 0.2712, 0.3841, 0.5019, 0.6266, 0.7614, 0.9109, 1.0827, 1.2918, 1.5752, 2.0913];
const normal: readonly number[] = [...halfNormal.map((z) => -z).reverse(), ...halfNormal];
/** Half the distance of the two points that a slope is taken between, in standard deviations. */
const halfStep = 0.02;

/** Elements of normally distributed channels, in pairs of neighbours: [channels, 2 · quantiles]. */
export function samplesOf(m: Moments): Tensor {
  const row = 2 * normal.length;
  const data = new Float32Array(m.mean.length * row);
  for (let i = 0; i < m.mean.length; i++) {
    const deviation = deviationOf(m, i);
    normal.forEach((z, k) => {
      data[i * row + 2 * k] = m.mean[i]! + (z - halfStep) * deviation;
      data[i * row + 2 * k + 1] = m.mean[i]! + (z + halfStep) * deviation;
    });
  }
  return new Tensor('float32', data, [m.mean.length, row]);
}

/** Never 0: slopes are wanted of single points too. */
function deviationOf(m: Moments, channel: number): number {
  return Math.max(Math.sqrt(m.spread[channel]!), 1e-3 * Math.abs(m.mean[channel]!), 1e-6);
}

/** A map operator on samples and constants ([channels, 1]). */
export function mapSamples(node: Node, inputs: readonly Tensor[]): Tensor | undefined {
  const result = evaluateNode(node, inputs)[0];
  return result instanceof Tensor && result.dtype === 'float32' ? result : undefined;
}

/** Moments of a function of `m`, from what the function makes of its samples. */
export function momentsOfSamples(m: Moments, samples: Tensor): Moments | undefined {
  const row = 2 * normal.length;
  const y = samples.data as Float32Array;
  if (!y.every(Number.isFinite)) return undefined;
  return momentsOf(y.length / row, (i) => {
    const [, , common, own] = entriesAt(m, i);
    const width = 2 * halfStep * deviationOf(m, m.mean.length === 1 ? 0 : i);
    let [mean, squares, slope, slopes] = [0, 0, 0, 0];
    for (let k = i * row; k < (i + 1) * row; k += 2) {
      const value = (y[k]! + y[k + 1]!) / 2;
      const gain = (y[k + 1]! - y[k]!) / width;
      mean += value / normal.length;
      squares += value ** 2 / normal.length;
      slope += gain / normal.length;
      slopes += gain ** 2 / normal.length;
    }
    const varied = Math.max(0, slopes - slope * slope);
    return [mean, Math.max(0, squares - mean * mean), common * slope * slope, own * slopes + common * varied];
  });
}
