/** Operators that address elements by data: gathers, scatters, selections. */

import type { Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';

function scatterElements(c: ImportContext): Value {
  return c.op('scatterElements', [c.input(0), c.input(1), c.input(2)], {
    axis: c.int('axis', 0),
    reduction: c.string('reduction', 'none'),
  });
}

/** An optional axis: absent means the flattened input. */
function optionalAxis(c: ImportContext): { axis?: number } {
  return c.hasAttribute('axis') ? { axis: c.int('axis', 0) } : {};
}

function topK(c: ImportContext): readonly Value[] {
  const k = c.opset < 10 ? c.dims([c.int('k', -1)]) : c.input(1);
  return c.node('topK', [c.input(0), k], {
    axis: c.int('axis', -1),
    largest: c.int('largest', 1) !== 0,
    sorted: c.int('sorted', 1) !== 0,
  });
}

function nonMaxSuppression(c: ImportContext): Value {
  const limits = [2, 3, 4].map((i) => c.optional(i));
  return c.op('nonMaxSuppression', [c.input(0), c.input(1), ...limits], {
    centerPointBox: c.int('center_point_box', 0),
  });
}

function col2im(c: ImportContext): Value {
  const attributes = {
    strides: c.ints('strides') ?? [],
    dilations: c.ints('dilations') ?? [],
    pads: c.ints('pads') ?? [],
  };
  return c.op('col2im', [c.input(0), c.input(1), c.input(2)], attributes);
}

export const gatherImporters: ImporterTable = {
  Gather: (c) => c.op('gather', [c.input(0), c.input(1)], { axis: c.int('axis', 0) }),
  GatherElements: (c) => c.op('gatherElements', [c.input(0), c.input(1)], { axis: c.int('axis', 0) }),
  GatherND: (c) => c.op('gatherND', [c.input(0), c.input(1)], { batchDims: c.int('batch_dims', 0) }),
  Scatter: scatterElements,
  ScatterElements: scatterElements,
  ScatterND: (c) =>
    c.op('scatterND', [c.input(0), c.input(1), c.input(2)], { reduction: c.string('reduction', 'none') }),
  TensorScatter: (c) =>
    c.op('tensorScatter', [c.input(0), c.input(1), c.optional(2)], {
      axis: c.int('axis', -2),
      mode: c.string('mode', 'linear'),
    }),
  NonZero: (c) => c.op('nonZero', [c.input(0)]),
  Compress: (c) => c.op('compress', [c.input(0), c.input(1)], optionalAxis(c)),
  Unique: (c) => c.node('unique', [c.input(0)], { ...optionalAxis(c), sorted: c.int('sorted', 1) !== 0 }),
  TopK: topK,
  OneHot: (c) => c.op('oneHot', [c.input(0), c.input(1), c.input(2)], { axis: c.int('axis', -1) }),
  ReverseSequence: (c) =>
    c.op('reverseSequence', [c.input(0), c.input(1)], {
      batchAxis: c.int('batch_axis', 1),
      timeAxis: c.int('time_axis', 0),
    }),
  NonMaxSuppression: nonMaxSuppression,
  Col2Im: col2im,
};
