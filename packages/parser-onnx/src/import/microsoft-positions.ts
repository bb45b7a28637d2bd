/** com.microsoft's operators that tell attention where tokens stand: rotations, and biases by distance. */

import type { Dim, Value } from '@tensorwright/core';
import { anglesAt, mergeHeads, splitHeads } from './attention.js';
import type { ImportContext } from './importer.js';
import { known } from './microsoft-attention-parts.js';
import { cast, element, iota, reshape, transpose } from './shorthand.js';

/** position_ids [B, S], or [1]: the first position of all samples. */
export function rotaryEmbedding(c: ImportContext): Value {
  if (c.int('is_packed_batching', 0) !== 0) c.unsupported('packed batching');
  const [x, ids, cosCache, sinCache] = [c.input(0), c.input(1), c.input(2), c.input(3)];
  const packed = c.rank(x) === 3;
  const rotated = 2 * known(c, c.dimsOf(cosCache)[1], 'a rotated size');
  const partial = c.int('rotary_embedding_dim', 0) > 0;
  const width = packed ? known(c, c.dimsOf(x)[2], 'a hidden size') : 0;
  const heads = partial ? c.int('num_heads', 0) : width / rotated;
  const split = packed ? splitHeads(c, x, heads) : x;
  const [, , positions] = c.dimsOf(split) as [Dim, Dim, Dim, Dim];
  const at =
    c.rank(ids) === 2
      ? ids
      : reshape(c, c.op('add', [iota(c, c.dims(positions), 'int64'), cast(c, ids, 'int64')]), [1, positions]);
  const [cos, sin] = [cosCache, sinCache].map((cache) => anglesAt(c, cache, at)) as [Value, Value];
  const scale = c.float('scale', 1);
  if (scale !== 1) c.unsupported(`a scale of ${String(scale)}`);
  const turned = c.op('rotaryEmbedding', [split, cos, sin], { interleaved: c.int('interleaved', 0) !== 0 });
  return packed ? mergeHeads(c, turned) : turned;
}

/** The rotation written out: x · cos(emb) + rotated · sin(emb). */
export function gemmaRotaryEmbedding(c: ImportContext): Value[] {
  const emb = c.input(0);
  const [batch, positions, size] = c.dimsOf(emb) as [Dim, Dim, Dim];
  const { dtype } = c.type(c.input(1));
  const [cos, sin] = ['cos', 'sin'].map((f) =>
    reshape(c, cast(c, c.op(f, [emb]), dtype), [batch, 1, positions, size]),
  ) as [Value, Value];
  const turn = (i: number): Value => c.op('add', [c.op('mul', [c.input(i), cos]), c.op('mul', [c.input(i + 1), sin])]);
  return [turn(1), turn(3)];
}

/** T5's bias by buckets of distance: exact for small ones, logarithmic beyond. */
export function relativePositionBias(c: ImportContext): Value {
  const table = c.input(0);
  const buckets = known(c, c.dimsOf(table)[0], 'a number of buckets');
  const both = c.int('is_bidirectional', 0) !== 0;
  const farthest = c.int('max_distance', 128);
  const int = (n: number): Value => c.scalar(n, 'int64');
  const rows = iota(c, element(c, c.input(1), 0), 'int64');
  const columns = iota(c, element(c, c.input(2), 0), 'int64');
  const [queries, keys] = [c.dimsOf(rows)[0]!, c.dimsOf(columns)[0]!];
  const distance = c.op('sub', [columns, reshape(c, rows, [queries, 1])]);
  const half = both ? Math.floor(buckets / 2) : buckets;
  const away = both ? c.op('abs', [distance]) : c.op('max', [c.op('neg', [distance]), int(0)]);
  const exact = Math.floor(half / 2);
  const ratio = c.op('div', [cast(c, c.op('max', [away, int(1)]), 'float32'), c.scalar(exact, 'float32')]);
  const logs = c.op('mul', [
    c.op('div', [c.op('log', [ratio]), c.scalar(Math.fround(Math.log(farthest / exact)), 'float32')]),
    c.scalar(half - exact, 'float32'),
  ]);
  const far = c.op('min', [c.op('add', [cast(c, logs, 'int64'), int(exact)]), int(half - 1)]);
  const near = c.op('where', [c.op('less', [away, int(exact)]), away, far]);
  const bucket = both
    ? c.op('add', [near, c.op('where', [c.op('greater', [distance, int(0)]), int(half), int(0)])])
    : near;
  const bias = transpose(c, c.op('gather', [table, bucket], { axis: 0 }), [2, 0, 1]);
  return reshape(c, bias, [1, c.dimsOf(table)[1]!, queries, keys]);
}
