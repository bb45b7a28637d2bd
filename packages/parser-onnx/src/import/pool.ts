/** Pools. Global pools are reductions. */

import type { Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { mean } from './shorthand.js';
import { windowAttributes } from './windows.js';

function poolAttributes(
  c: ImportContext,
  x: Value,
): Record<string, unknown> & { kernelShape: number[]; ceilMode: boolean } {
  const kernelShape = c.ints('kernel_shape') ?? c.fail('kernel_shape is missing');
  return {
    kernelShape,
    ...windowAttributes(c, c.dimsOf(x).slice(2), kernelShape),
    ceilMode: c.int('ceil_mode', 0) !== 0,
  };
}

export function maxPool(c: ImportContext, x: Value): readonly Value[] {
  const attributes = poolAttributes(c, x) as object;
  if (c.wants(1)) return c.node('maxPoolWithIndices', [x], { ...attributes, storageOrder: c.int('storage_order', 0) });
  return [c.op('pool', [x], { kind: 'max', ...attributes })];
}

export function averagePool(c: ImportContext, x: Value): Value {
  return c.op('pool', [x], {
    kind: 'average',
    ...(poolAttributes(c, x) as object),
    countIncludePad: c.int('count_include_pad', 0) !== 0,
  });
}

/** p was a float in opset 1. */
function norm(c: ImportContext): number {
  return c.opset < 2 ? c.float('p', 2) : c.int('p', 2);
}

function spatialAxes(c: ImportContext, x: Value): number[] {
  const rank = c.rank(x);
  if (rank < 3) c.fail(`the input has rank ${String(rank)}, no spatial axes`);
  return Array.from({ length: rank - 2 }, (_, i) => i + 2);
}

export function globalAveragePool(c: ImportContext, x: Value): Value {
  return mean(c, x, spatialAxes(c, x), true);
}

function globalLpPool(c: ImportContext): Value {
  const x = c.input(0);
  const p = norm(c);
  const { dtype } = c.type(x);
  const axes = spatialAxes(c, x);
  const sum = (v: Value): Value => c.op('reduce', [v], { monoid: 'sum', axes, keepdims: true });
  if (p === 1) return sum(c.op('abs', [x]));
  if (p === 2) return c.op('sqrt', [sum(c.op('mul', [x, x]))]);
  return c.op('pow', [sum(c.op('pow', [c.op('abs', [x]), c.scalar(p, dtype)])), c.scalar(1 / p, dtype)]);
}

function maxUnpool(c: ImportContext): Value {
  const kernelShape = c.ints('kernel_shape') ?? c.fail('kernel_shape is missing');
  const { strides, pads } = windowAttributes(c, c.dimsOf(c.input(0)).slice(2), kernelShape);
  return c.op('maxUnpool', [c.input(0), c.input(1), c.optional(2)], { kernelShape, strides, pads });
}

export const poolImporters: ImporterTable = {
  MaxPool: (c) => maxPool(c, c.input(0)),
  AveragePool: (c) => averagePool(c, c.input(0)),
  LpPool: (c) => {
    const x = c.input(0);
    return c.op('pool', [x], { kind: 'lp', ...(poolAttributes(c, x) as object), p: norm(c) });
  },
  GlobalAveragePool: (c) => globalAveragePool(c, c.input(0)),
  GlobalMaxPool: (c) =>
    c.op('reduce', [c.input(0)], { monoid: 'max', axes: spatialAxes(c, c.input(0)), keepdims: true }),
  GlobalLpPool: globalLpPool,
  MaxUnpool: maxUnpool,
  MaxRoiPool: (c) =>
    c.op('maxRoiPool', [c.input(0), c.input(1)], {
      pooledShape: c.ints('pooled_shape') ?? c.fail('pooled_shape is missing'),
      spatialScale: c.float('spatial_scale', 1),
    }),
  RoiAlign: (c) =>
    c.op('roiAlign', [c.input(0), c.input(1), c.input(2)], {
      mode: c.string('mode', 'avg'),
      coordinateTransformationMode: c.string(
        'coordinate_transformation_mode',
        c.opset < 16 ? 'output_half_pixel' : 'half_pixel',
      ),
      outputHeight: c.int('output_height', 1),
      outputWidth: c.int('output_width', 1),
      samplingRatio: c.int('sampling_ratio', 0),
      spatialScale: c.float('spatial_scale', 1),
    }),
};
