/** Normalizations: layer, RMS, group, instance, batch, local response, Lp, mean and variance. */

import { type Dim, type DType, isFloat, provablyEqual, type Value } from '@tensorwright/core';
import { dtypeOfCode } from '../dtype-codes.js';
import { castTo } from './elementwise.js';
import type { ImportContext, ImporterTable } from './importer.js';
import { dropAxes, meanOver } from './reduce.js';
import { reshaped } from './shape.js';

/** A vector of the channels, shaped to broadcast against [N, C, …]. */
export function perChannel(c: ImportContext, v: Value, rank: number): Value {
  return rank < 3 ? v : reshaped(c, v, [c.dimsOf(v)[0]!, ...new Array<number>(rank - 2).fill(1)]);
}

/** Scale or bias with exactly the normalized extents; undefined when it reaches beyond them. */
function overNormalized(c: ImportContext, v: Value, dims: readonly Dim[], axis: number): Value | undefined {
  const normalized = dims.slice(axis);
  const own = c.dimsOf(v);
  const leading = own.slice(0, Math.max(0, own.length - normalized.length));
  if (leading.some((d) => d !== 1)) return undefined;
  const trailing = own.slice(leading.length);
  const flat = leading.length > 0 ? reshaped(c, v, trailing) : v;
  const same =
    trailing.length === normalized.length &&
    trailing.every((d, i) => provablyEqual(d, normalized[i]!) || (d !== 1 && typeof normalized[i] !== 'number'));
  return same ? flat : c.op('expand', [flat], { dims: normalized });
}

interface LayerNorm {
  readonly x: Value;
  readonly scale: Value;
  readonly bias?: Value | undefined;
  readonly axis: number;
  readonly epsilon: number;
  readonly stashType?: DType;
}

/** y, and mean and inverse standard deviation where asked for. */
export function layerNorm(
  c: ImportContext,
  { x, scale, bias, axis, epsilon, stashType = 'float32' }: LayerNorm,
  statistics: boolean,
): readonly Value[] {
  const dims = c.dimsOf(x);
  const { dtype } = c.type(x);
  const attributes = { axis, epsilon, statistics, stashType };
  const [s, b] = [castTo(c, scale, dtype), bias && castTo(c, bias, dtype)];
  const inner = overNormalized(c, s, dims, axis);
  const innerBias = b && overNormalized(c, b, dims, axis);
  if (inner && (!b || innerBias)) return c.node('layerNorm', [x, inner, innerBias], attributes);
  const ones = c.op('expand', [c.scalar(1, dtype)], { dims: dims.slice(axis) });
  const [y, ...rest] = c.node('layerNorm', [x, ones], attributes);
  const scaled = c.op('mul', [y, s]);
  return [b ? c.op('add', [scaled, b]) : scaled, ...rest];
}

export function rmsNorm(c: ImportContext, x: Value, scale: Value, axis: number, epsilon: number): Value {
  const dims = c.dimsOf(x);
  const { dtype } = c.type(x);
  const s = castTo(c, scale, dtype);
  const inner = overNormalized(c, s, dims, axis);
  if (inner) return c.op('rmsNorm', [x, inner], { axis, epsilon });
  const ones = c.op('expand', [c.scalar(1, dtype)], { dims: dims.slice(axis) });
  return c.op('mul', [c.op('rmsNorm', [x, ones], { axis, epsilon }), s]);
}

/** 1 / √(mean(x²) + epsilon) over the axes from `axis` on, in float32 or wider. */
export function inverseRms(c: ImportContext, x: Value, axis: number, epsilon: number): Value {
  const wide = castTo(c, x, c.type(x).dtype === 'float64' ? 'float64' : 'float32');
  const axes = c
    .dimsOf(x)
    .map((_, i) => i)
    .slice(axis);
  const mean = meanOver(c, c.op('mul', [wide, wide]), axes);
  return c.op('reciprocal', [c.op('sqrt', [c.op('add', [mean, c.scalar(epsilon, c.type(wide).dtype)])])]);
}

function layerNormalization(c: ImportContext): readonly Value[] {
  const x = c.input(0);
  const stash = dtypeOfCode(c.int('stash_type', 1));
  if (!stash || !isFloat(stash)) return c.fail("attribute 'stash_type' must name a float dtype");
  return layerNorm(
    c,
    {
      x,
      scale: c.input(1),
      bias: c.optional(2),
      axis: c.axis(c.int('axis', -1), c.rank(x)),
      epsilon: c.float('epsilon', 1e-5),
      stashType: stash,
    },
    c.wants(1) || c.wants(2),
  );
}

function rmsNormalization(c: ImportContext): Value {
  const x = c.input(0);
  return rmsNorm(c, x, c.input(1), c.axis(c.int('axis', -1), c.rank(x)), c.float('epsilon', 1e-5));
}

/** ONNX Runtime's own RMS normalization, in ONNX's domain but without a schema there. */
export function simplifiedLayerNormalization(c: ImportContext): readonly (Value | undefined)[] {
  const x = c.input(0);
  const axis = c.axis(c.int('axis', -1), c.rank(x));
  const epsilon = c.float('epsilon', 1e-5);
  return [rmsNorm(c, x, c.input(1), axis, epsilon), c.wants(1) ? inverseRms(c, x, axis, epsilon) : undefined];
}

/** Scale and bias belong to the groups to opset 20, to the channels from 21 on. */
function groupNormalization(c: ImportContext): Value {
  const x = c.input(0);
  const groups = c.int('num_groups', 0);
  if (groups < 1) c.fail("attribute 'num_groups' must be positive");
  const channels = c.dimsOf(x)[1] ?? c.fail('the input needs a channel axis');
  if (typeof channels === 'number' && channels % groups !== 0)
    c.fail(`${channels} channels do not divide into ${groups} groups`);
  const widened = (v: Value): Value => {
    if (c.opset >= 21) return v;
    if (typeof channels !== 'number')
      return c.unsupported('GroupNormalization before opset 21 needs a known number of channels');
    return reshaped(c, c.op('expand', [reshaped(c, v, [groups, 1])], { dims: [groups, channels / groups] }), [
      channels,
    ]);
  };
  return c.op('groupNorm', [x, widened(c.input(1)), widened(c.input(2))], {
    numGroups: groups,
    epsilon: c.float('epsilon', 1e-5),
  });
}

/**
 * Inference: one multiplication and one addition per element, with factors that fold into constants. Training, told
 * by `training_mode` since opset 14 and by further outputs before, takes mean and variance from the batch.
 */
function batchNormalization(c: ImportContext): readonly (Value | undefined)[] {
  const x = c.input(0);
  const { dtype } = c.type(x);
  const rank = c.rank(x);
  const wide: DType = dtype === 'float64' ? 'float64' : 'float32';
  const [scale, bias, inputMean, inputVariance] = [1, 2, 3, 4].map((i) => castTo(c, c.input(i), wide)) as [
    Value,
    Value,
    Value,
    Value,
  ];
  const training = c.opset >= 14 ? c.int('training_mode', 0) !== 0 : c.wants(1);
  // Not spatial (to opset 8): parameters of the shape of one sample.
  const spatial = c.opset >= 9 || c.int('spatial', 1) !== 0;
  const shaped = (v: Value): Value => (spatial ? perChannel(c, v, rank) : v);
  const axes = spatial ? c.dimsOf(x).flatMap((_, axis) => (axis === 1 ? [] : [axis])) : [0];
  const epsilon = c.scalar(c.float('epsilon', 1e-5), wide);

  let [mean, variance] = [inputMean, inputVariance];
  if (training) {
    const input = castTo(c, x, wide);
    const batchMean = meanOver(c, input, axes);
    const centred = c.op('sub', [input, batchMean]);
    mean = dropAxes(c, batchMean, axes);
    variance = dropAxes(c, meanOver(c, c.op('mul', [centred, centred]), axes), axes);
  }
  const factor = c.op('div', [scale, c.op('sqrt', [c.op('add', [variance, epsilon])])]);
  const offset = c.op('sub', [bias, c.op('mul', [mean, factor])]);
  const y = c.op('add', [c.op('mul', [x, shaped(castTo(c, factor, dtype))]), shaped(castTo(c, offset, dtype))]);
  if (!training) return [y];

  const momentum = c.float('momentum', 0.9);
  const running = (old: Value, now: Value, i: number): Value =>
    castTo(
      c,
      c.op('add', [c.op('mul', [old, c.scalar(momentum, wide)]), c.op('mul', [now, c.scalar(1 - momentum, wide)])]),
      c.type(c.input(i)).dtype,
    );
  return [
    y,
    running(inputMean, mean, 3),
    running(inputVariance, variance, 4),
    castTo(c, mean, dtype),
    castTo(c, variance, dtype),
  ];
}

/** x / ‖x‖ along one axis; zero where the norm is zero. */
function lpNormalization(c: ImportContext): Value {
  const x = c.input(0);
  const { dtype } = c.type(x);
  const p = c.int('p', 2);
  if (p !== 1 && p !== 2) c.fail(`attribute 'p' must be 1 or 2, is ${p}`);
  const axes = [c.axis(c.int('axis', -1), c.rank(x))];
  const wide = castTo(c, x, dtype === 'float64' ? dtype : 'float32');
  const sum = c.op('reduce', [p === 1 ? c.op('abs', [wide]) : c.op('mul', [wide, wide])], {
    monoid: 'sum',
    axes,
    keepdims: true,
  });
  const norm = p === 1 ? sum : c.op('sqrt', [sum]);
  const zero = c.scalar(0, c.type(wide).dtype);
  return castTo(c, c.op('where', [c.op('equal', [norm, zero]), zero, c.op('div', [wide, norm])]), dtype);
}

function meanVarianceNormalization(c: ImportContext): Value {
  const x = c.input(0);
  const { dtype } = c.type(x);
  const rank = c.rank(x);
  const axes = (c.ints('axes') ?? [0, 2, 3]).map((a) => c.axis(a, rank));
  const wide = castTo(c, x, dtype === 'float64' ? dtype : 'float32');
  const centred = c.op('sub', [wide, meanOver(c, wide, axes)]);
  const deviation = c.op('sqrt', [meanOver(c, c.op('mul', [centred, centred]), axes)]);
  return castTo(c, c.op('div', [centred, c.op('add', [deviation, c.scalar(1e-9, c.type(wide).dtype)])]), dtype);
}

export const normalizationImporters: ImporterTable = {
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  SimplifiedLayerNormalization: simplifiedLayerNormalization,
  GroupNormalization: groupNormalization,
  InstanceNormalization: (c) =>
    c.op('instanceNorm', [c.input(0), c.input(1), c.input(2)], { epsilon: c.float('epsilon', 1e-5) }),
  BatchNormalization: batchNormalization,
  LRN: (c) =>
    c.op('lrn', [c.input(0)], {
      size: c.int('size', 1),
      alpha: c.float('alpha', 1e-4),
      beta: c.float('beta', 0.75),
      bias: c.float('bias', 1),
    }),
  LpNormalization: lpNormalization,
  MeanVarianceNormalization: meanVarianceNormalization,
};
