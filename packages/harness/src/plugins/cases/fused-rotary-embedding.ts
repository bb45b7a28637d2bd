import type { NetworkTensor } from '@tensorwright/core';
import { fusedRotaryEmbedding } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';

interface Shape {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly size: number;
  /** Elements that turn. Default: all. */
  readonly turning?: number;
}

interface More {
  readonly interleaved?: boolean;
  /** [batch, length, heads · size] instead of [batch, heads, length, size]. */
  readonly flat?: boolean;
  /** One position for all: of the first token. */
  readonly offset?: number;
  /** Positions that the caches do not have. */
  readonly strays?: boolean;
  readonly symbolic?: boolean;
  readonly cacheDtype?: 'float32';
  readonly timed?: boolean;
}

function problem(name: string, random: Random, shape: Shape, more: More = {}): Problem {
  const { batch, length, heads, keyHeads, size, turning = size } = shape;
  const { interleaved = false, flat = false, offset, strays = false, symbolic = false, timed = false } = more;
  const positions = length + 9;
  const operand = (own: number): Operand => ({
    ...random.floats(flat ? [batch, length, own * size] : [batch, own, length, size]),
    ...(symbolic && { declared: flat ? ['batch', 'length', own * size] : ['batch', own, 'length', size] }),
  });
  const angle = (i: number): number => Math.floor(i / (turning / 2)) / 10000 ** ((i % (turning / 2)) / (turning / 2));
  const cache = (wave: (angle: number) => number): Operand => ({
    dtype: more.cacheDtype ?? 'float',
    dims: [positions, turning / 2],
    values: Float64Array.from({ length: positions * (turning / 2) }, (_, i) => wave(angle(i))),
    isConstant: timed,
  });
  const ids = strays
    ? Float64Array.from({ length: batch * length }, (_, i) => (i % 3) * positions - 1)
    : Float64Array.from({ length: batch * length }, () => random.integer(positions));
  return {
    name,
    inputs: {
      query: operand(heads),
      key: operand(keyHeads),
      position_ids:
        offset === undefined
          ? { dtype: 'int64', dims: [batch, length], values: ids, ...(symbolic && { declared: ['batch', 'length'] }) }
          : { dtype: 'int32', dims: [1], values: Float64Array.of(offset) },
      cos_cache: cache(Math.cos),
      sin_cache: cache(Math.sin),
    },
    fields: {
      ...{ interleaved: Number(interleaved), rotary_embedding_dim: turning === size ? 0 : turning },
      ...(flat && { num_heads: heads, kv_num_heads: keyHeads }),
    },
    timed,
  };
}

function withoutPositions(given: Problem): Problem {
  const empty = (o: Operand): Operand => ({ ...o, dims: [0, o.dims[1]!], values: new Float64Array(0) });
  const { cos_cache: cos, sin_cache: sin } = given.inputs;
  return { ...given, inputs: { ...given.inputs, cos_cache: empty(cos!), sin_cache: empty(sin!) } };
}

/** Heads as complex numbers, each times e^(i · angle). */
function rotated(x: Operand, heads: number, problem: Problem): Float64Array {
  const { position_ids: ids, cos_cache: cos, sin_cache: sin } = problem.inputs;
  const [positions, half] = cos!.dims as [number, number];
  const flat = x.dims.length === 3;
  const length = flat ? x.dims[1]! : x.dims[2]!;
  const size = flat ? x.dims[2]! / heads : x.dims[3]!;
  const [step, apart] = problem.fields['interleaved'] === 1 ? [2, 1] : [1, half];
  return x.values.map((value, at) => {
    const i = at % size;
    const row = Math.floor(at / size);
    const place = flat ? Math.floor(row / heads) % length : row % length;
    const sample = Math.floor(row / (length * heads));
    if (i >= 2 * half || positions === 0) return value;
    const isImaginary = step === 2 ? i % 2 === 1 : i >= half;
    const pair = step === 2 ? Math.floor(i / 2) : i % half;
    const id = ids!.dims.length === 1 ? ids!.values[0]! + place : ids!.values[sample * length + place]!;
    const angle = Math.max(0, Math.min(positions - 1, id)) * half + pair;
    const other = x.values[isImaginary ? at - apart : at + apart]!;
    return value * cos!.values[angle]! + (isImaginary ? 1 : -1) * other * sin!.values[angle]!;
  });
}

export const fusedRotaryEmbeddingCase: PluginCase = {
  name: 'fused-rotary-embedding',
  plugin: fusedRotaryEmbedding,
  floats: ['float32', 'float16', 'bfloat16'],
  problems: (random) => [
    problem('heads apart', random, { batch: 2, length: 5, heads: 3, keyHeads: 3, size: 16 }),
    problem('interleaved', random, { batch: 1, length: 7, heads: 4, keyHeads: 2, size: 32 }, { interleaved: true }),
    problem('flat, shared keys', random, { batch: 2, length: 3, heads: 8, keyHeads: 1, size: 24 }, { flat: true }),
    problem('a part turns', random, { batch: 1, length: 4, heads: 2, keyHeads: 1, size: 40, turning: 16 }),
    problem(...(['odd parts', random, { batch: 2, length: 3, heads: 5, keyHeads: 2, size: 19, turning: 6 }] as const), {
      interleaved: true,
      flat: true,
    }),
    problem('odd heads', random, { batch: 1, length: 2, heads: 3, keyHeads: 3, size: 7, turning: 6 }),
    problem('no heads', random, { batch: 1, length: 2, heads: 0, keyHeads: 0, size: 8 }),
    problem('positions from one', random, { batch: 2, length: 6, heads: 2, keyHeads: 2, size: 8 }, { offset: 3 }),
    problem('positions of no row', random, { batch: 2, length: 4, heads: 1, keyHeads: 1, size: 8 }, { strays: true }),
    problem('wide heads', random, { batch: 1, length: 2, heads: 9, keyHeads: 3, size: 1030 }),
    withoutPositions(problem('no positions', random, { batch: 1, length: 2, heads: 3, keyHeads: 1, size: 24 })),
    problem(
      'caches of float32',
      random,
      { batch: 1, length: 3, heads: 40, keyHeads: 8, size: 64 },
      { cacheDtype: 'float32' },
    ),
    problem('lengths of the run', random, { batch: 2, length: 3, heads: 2, keyHeads: 1, size: 16 }, { symbolic: true }),
    problem(
      'flat lengths of the run',
      random,
      { batch: 1, length: 3, heads: 2, keyHeads: 1, size: 16 },
      { symbolic: true, flat: true },
    ),
    problem(
      'Llama 3 8B, 1 x 2048',
      random,
      { batch: 1, length: 2048, heads: 32, keyHeads: 8, size: 128 },
      { timed: true },
    ),
    problem('Llama 3 8B, 64 x 1', random, { batch: 64, length: 1, heads: 32, keyHeads: 8, size: 128 }, { timed: true }),
  ],
  reference: (p) => ({
    rotated_query: rotated(
      p.inputs['query']!,
      (p.fields['num_heads'] as number | undefined) ?? p.inputs['query']!.dims[1]!,
      p,
    ),
    rotated_key: rotated(
      p.inputs['key']!,
      (p.fields['kv_num_heads'] as number | undefined) ?? p.inputs['key']!.dims[1]!,
      p,
    ),
  }),
  standard(network, { query, key, position_ids, cos_cache, sin_cache }) {
    const angles = [cos_cache!, sin_cache!].map((cache) => network.addGather(cache, position_ids!));
    const turn = (x: NetworkTensor): NetworkTensor => network.addOperator('rotaryEmbedding', [x, ...angles])[0]!;
    return { rotated_query: turn(query!), rotated_key: turn(key!) };
  },
};
