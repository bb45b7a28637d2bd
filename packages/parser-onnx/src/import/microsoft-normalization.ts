/** com.microsoft's normalizations with residual inputs, embeddings and channels-last data. */

import { Tensor, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { inverseRms, layerNorm, rmsNorm, simplifiedLayerNormalization } from './normalization.js';
import { reshaped } from './shape.js';

/** input + skip (+ bias): what is normalized, and the fourth output. */
function residual(c: ImportContext, bias: Value | undefined): Value {
  const sum = c.op('add', [c.input(0), c.input(1)]);
  return bias ? c.op('add', [sum, bias]) : sum;
}

function skipLayerNormalization(c: ImportContext): readonly (Value | undefined)[] {
  const x = residual(c, c.optional(4));
  const norm = { x, scale: c.input(2), bias: c.optional(3), axis: c.rank(x) - 1, epsilon: c.float('epsilon', 1e-12) };
  const [y, mean, inverse] = layerNorm(c, norm, c.wants(1) || c.wants(2));
  return [y, mean, inverse, x];
}

function skipSimplifiedLayerNormalization(c: ImportContext): readonly (Value | undefined)[] {
  const x = residual(c, c.optional(3));
  const axis = c.rank(x) - 1;
  const epsilon = c.float('epsilon', 1e-12);
  return [
    rmsNorm(c, x, c.input(2), axis, epsilon),
    undefined,
    c.wants(2) ? inverseRms(c, x, axis, epsilon) : undefined,
    x,
  ];
}

/** Word, position and segment embeddings, summed and normalized; the mask's row lengths. */
function embedLayerNormalization(c: ImportContext): readonly (Value | undefined)[] {
  const ids = c.input(0);
  const [batch, sequence] = c.dimsOf(ids);
  if (batch === undefined || sequence === undefined) return c.fail('input_ids must be [batch, sequence]');
  const given = c.optional(8);
  const positions =
    given ??
    (typeof sequence === 'number'
      ? c.constant(
          new Tensor(
            'int64',
            Array.from({ length: sequence }, (_, i) => i),
          ),
        )
      : c.op('range', [c.scalar(0, 'int64'), c.dims(sequence), c.scalar(1, 'int64')]));
  const gather = (table: Value, indices: Value): Value => c.op('gather', [table, indices], { axis: 0 });
  let sum = c.op('add', [gather(c.input(2), ids), gather(c.input(3), positions)]);
  const [segments, segmentTable] = [c.optional(1), c.optional(4)];
  if (segments && segmentTable) sum = c.op('add', [sum, gather(segmentTable, segments)]);
  const [y] = layerNorm(
    c,
    { x: sum, scale: c.input(5), bias: c.input(6), axis: 2, epsilon: c.float('epsilon', 1e-12) },
    false,
  );
  const mask = c.optional(7);
  const lengths = (): Value =>
    mask
      ? c.op('reduce', [mask], { monoid: 'sum', axes: [1], keepdims: false })
      : c.op('expand', [c.scalar(0, 'int32')], { dims: [batch] });
  return [y, c.wants(1) ? lengths() : undefined, sum];
}

/** Group normalization of channels-last data (by default), optionally with SiLU after it. */
function groupNorm(c: ImportContext, x: Value, scale: Value, bias: Value): Value {
  const rank = c.rank(x);
  const channelsLast = c.int('channels_last', 1) !== 0;
  const order = Array.from({ length: rank }, (_, i) => i);
  const toFirst = [0, rank - 1, ...order.slice(1, -1)];
  const toLast = [0, ...order.slice(2), 1];
  const input = channelsLast ? c.op('transpose', [x], { perm: toFirst }) : x;
  const { dtype } = c.type(x);
  const as = (v: Value): Value => (c.type(v).dtype === dtype ? v : c.op('cast', [v], { to: dtype }));
  const y = c.op('groupNorm', [input, as(scale), as(bias)], {
    numGroups: c.int('groups', 1),
    epsilon: c.float('epsilon', 1e-5),
  });
  const back = channelsLast ? c.op('transpose', [y], { perm: toLast }) : y;
  return c.int('activation', 0) === 1 ? c.op('swish', [back]) : back;
}

/** The skip input may be one vector per sample. */
function skipGroupNorm(c: ImportContext): readonly Value[] {
  const [x, skip, bias] = [c.input(0), c.input(3), c.optional(4)];
  const [dims, own] = [c.dimsOf(x), c.dimsOf(skip)];
  const channelsLast = c.int('channels_last', 1) !== 0;
  if (!channelsLast) c.unsupported('SkipGroupNorm is supported for channels-last data only');
  const spread =
    own.length === 2 ? reshaped(c, skip, [own[0]!, ...new Array<number>(dims.length - 2).fill(1), own[1]!]) : skip;
  const sum = c.op('add', [x, spread]);
  const total = bias ? c.op('add', [sum, bias]) : sum;
  return [groupNorm(c, total, c.input(1), c.input(2)), total];
}

export const microsoftNormalizationImporters: ImporterTable = {
  SimplifiedLayerNormalization: simplifiedLayerNormalization,
  SkipLayerNormalization: skipLayerNormalization,
  SkipSimplifiedLayerNormalization: skipSimplifiedLayerNormalization,
  EmbedLayerNormalization: embedLayerNormalization,
  GroupNorm: (c) => groupNorm(c, c.input(0), c.input(1), c.input(2)),
  SkipGroupNorm: skipGroupNorm,
};
