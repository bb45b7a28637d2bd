/** Resize, Upsample, GridSample, AffineGrid. */

import { productOf, readNumbers, Tensor, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { cast, concat, element, expand, iota, reshape, scale } from './shorthand.js';

/** An input that is there and not the empty tensor by which old opsets say "absent". */
function given(c: ImportContext, i: number): Value | undefined {
  const v = c.optional(i);
  return v && c.type(v).dims?.[0] === 0 ? undefined : v;
}

function resize(c: ImportContext): Value {
  const [scales, sizes] = [given(c, 2), given(c, 3)];
  const mode = c.string('mode', 'nearest');
  return c.op('resize', [c.input(0), given(c, 1), sizes ? undefined : scales, sizes], {
    mode,
    coordinateTransformationMode: c.string('coordinate_transformation_mode', 'half_pixel'),
    nearestMode: c.string('nearest_mode', 'round_prefer_floor'),
    antialias: c.int('antialias', 0) !== 0,
    axes: c.ints('axes'),
    cubicCoeffA: c.float('cubic_coeff_a', -0.75),
    excludeOutside: c.int('exclude_outside', 0) !== 0,
    extrapolationValue: c.float('extrapolation_value', 0),
    keepAspectRatioPolicy: c.string('keep_aspect_ratio_policy', 'stretch'),
  });
}

/**
 * Upsample and the first Resize: asymmetric coordinates; nearest rounds down when enlarging, up when shrinking.
 * Axes that do both are resized one after the other.
 */
function upsample(c: ImportContext, scales: Value): Value {
  const linear = ['linear', 'bilinear', 'trilinear'].includes(c.string('mode', 'nearest'));
  const step = (x: Value, by: Value, nearestMode: string): Value =>
    c.op('resize', [x, undefined, by], {
      mode: linear ? 'linear' : 'nearest',
      coordinateTransformationMode: 'asymmetric',
      nearestMode,
    });
  const constant = c.constantOf(scales);
  const x = c.input(0);
  if (!constant || linear) return step(x, scales, 'floor');
  const values = Array.from(readNumbers(constant));
  const only = (keep: (s: number) => boolean): Value =>
    c.constant(
      new Tensor(
        'float32',
        values.map((s) => (keep(s) ? s : 1)),
      ),
    );
  const enlarged = values.some((s) => s > 1)
    ? step(
        x,
        only((s) => s > 1),
        'floor',
      )
    : x;
  return values.some((s) => s < 1)
    ? step(
        enlarged,
        only((s) => s < 1),
        'ceil',
      )
    : enlarged;
}

function gridSample(c: ImportContext): Value {
  const mode = c.string('mode', 'linear');
  return c.op('gridSample', [c.input(0), c.input(1)], {
    alignCorners: c.int('align_corners', 0) !== 0,
    mode: mode === 'bilinear' ? 'linear' : mode === 'bicubic' ? 'cubic' : mode,
    paddingMode: c.string('padding_mode', 'zeros'),
  });
}

/** The grid of pixel positions in [-1, 1], times the matrices: theta [N, 2, 3] or [N, 3, 4]. */
function affineGrid(c: ImportContext): Value {
  const theta = c.input(0);
  const { dtype } = c.type(theta);
  const size = c.input(1);
  const [rows, extents] = [c.dimsOf(theta)[1], c.dimsOf(size)[0]];
  const rank =
    rows === 2 || extents === 4
      ? 2
      : rows === 3 || extents === 5
        ? 3
        : c.unsupported('an AffineGrid of an unknown number of axes');
  const align = c.int('align_corners', 0) !== 0;
  const one = c.scalar(1, dtype);
  const lines = Array.from({ length: rank }, (_, axis) => {
    const count = element(c, size, axis + 2);
    const steps = iota(c, count, dtype);
    const n = cast(c, count, dtype);
    // An axis of one pixel lies at −1 with aligned corners.
    const corners = (): Value =>
      c.op('sub', [c.op('div', [scale(c, steps, 2), c.op('max', [c.op('sub', [n, one]), one])]), one]);
    return align ? corners() : c.op('sub', [c.op('div', [c.op('add', [scale(c, steps, 2), one]), n]), one]);
  });
  // The extents are those of the lines, also where only the run tells them.
  const spatial = lines.map((line) => c.dimsOf(line)[0]!);
  const positions = (line: Value, axis: number): Value =>
    expand(c, reshape(c, line, [...spatial.map((n, i) => (i === axis ? n : 1)), 1]), [...spatial, 1]);
  // The innermost axis comes first in a position.
  const columns = lines.map(positions).reverse();
  const grid = reshape(c, concat(c, [...columns, expand(c, one, [...spatial, 1])], rank), [
    productOf(spatial),
    rank + 1,
  ]);
  const moved = c.op('dot', [grid, theta], { lhs: 'pk', rhs: 'nqk', out: 'npq' });
  return reshape(c, moved, [c.dimsOf(theta)[0]!, ...spatial, rank]);
}

export const resizeImporters: ImporterTable = {
  Resize: { 10: (c) => upsample(c, c.input(1)), 11: resize },
  Upsample: {
    1: (c) =>
      upsample(c, c.constant(new Tensor('float32', [1, 1, c.float('height_scale', 1), c.float('width_scale', 1)]))),
    7: (c) => upsample(c, c.constant(new Tensor('float32', c.floats('scales') ?? c.fail('scales are missing')))),
    9: (c) => upsample(c, c.input(1)),
  },
  GridSample: gridSample,
  AffineGrid: affineGrid,
};
