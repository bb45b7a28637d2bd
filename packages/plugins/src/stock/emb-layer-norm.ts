/** CustomEmbLayerNormPluginDynamic: the embeddings of BERT, summed and normalized, and the lengths that a mask says. */

import { addDims, ceilDivDims, type Dim, mulDims, readNumbers, type Tensor } from '@tensorwright/core';
import { type Field, field, type OptionalField } from '../fields.js';
import { arg } from '../launch-argument.js';
import type { Plugin, Shaped } from '../plugin.js';
import { defineVersions } from './define-versions.js';
import { checkExtents } from './extents.js';
import { layerNormRows, normalizeRows, rowShape, rowTactics, weightsFor } from './layer-norm-rows.js';

/** Added to the variance. */
const epsilon = 1e-5;

const source = `${layerNormRows}
// Rows of a table by number; a number that the table does not have gives zeros.
template <typename T, int E>
struct Table {
  const T* rows;
  int count;
  TW_DEVICE const T* row(int i) const { return i >= 0 && i < count ? rows + static_cast<i64>(i) * E : nullptr; }
};

template <typename T>
struct Embedding {
  const T *word, *segment, *position;

  template <int V>
  TW_DEVICE static void add(Vec<float, V>& x, const T* from, int column) {
    if (!from) return;
    const Vec<float, V> y = load_floats<true, V>(from + column);
#pragma unroll
    for (int v = 0; v < V; ++v) x[v] += y[v];
  }
  template <int V, bool Aligned>
  TW_DEVICE Vec<float, V> load(int column) const {
    Vec<float, V> x = {};
    add(x, word, column);
    add(x, segment, column);
    add(x, position, column);
    return x;
  }
};

template <typename T, int E>
struct Embeddings {
  const int *words, *segments;
  Table<T, E> word_table, segment_table, position_table;
  int batch;
  TW_DEVICE Embedding<T> row(i64 i) const {
    return {word_table.row(words[i]), segment_table.row(segments[i]), position_table.row(static_cast<int>(i / batch))};
  }
};

// The first position of a sequence that its mask leaves out.
template <int Threads>
TW_DEVICE void find_length(const int* mask, int length, int batch, int sequence, int* lengths) {
  int first = length;
  for (int s = static_cast<int>(threadIdx.x); s < length && first == length; s += Threads)
    if (mask[static_cast<i64>(s) * batch + sequence] == 0) first = s;
  first = block_reduce<Threads>(first, Min());
  if (threadIdx.x == 0) lengths[sequence] = first;
}

// A block for the mask of each sequence, then the blocks of rows.
template <typename T, int V, int N, int Threads, int Rows, int E>
__global__ void embed(const int* words, const int* segments, const int* mask, const T* word_table, int word_count,
                      const T* segment_table, int segment_count, const T* position_table, int position_count,
                      const T* gamma, const T* beta, T* output, int* lengths, int length, int batch, float epsilon) {
  const i64 block = static_cast<i64>(blockIdx.x) - batch;
  if (block < 0) {
    find_length<Threads * Rows>(mask, length, batch, static_cast<int>(blockIdx.x), lengths);
    return;
  }
  const Embeddings<T, E> source{words, segments, {word_table, word_count}, {segment_table, segment_count},
                                {position_table, position_count}, batch};
  const i64 rows = static_cast<i64>(length) * batch;
  if (is_aligned<V>(output)) normalize_rows<V, N, Threads, Rows, E, true>(source, block, rows, epsilon, gamma, beta, output);
  else normalize_rows<V, N, Threads, Rows, E, false>(source, block, rows, epsilon, gamma, beta, output);
}`;

type EmbLayerNorm = Plugin<
  readonly ['token_id', 'segment_id', 'input_mask'],
  readonly ['embedded_input', 'maskIdx'],
  {
    readonly output_fp16: OptionalField<number>;
    readonly full_mask: OptionalField<number>;
    readonly mha_type_id: OptionalField<number>;
    readonly bert_embeddings_layernorm_beta: Field<Tensor>;
    readonly bert_embeddings_layernorm_gamma: Field<Tensor>;
    readonly bert_embeddings_word_embeddings: Field<Tensor>;
    readonly bert_embeddings_token_type_embeddings: Field<Tensor>;
    readonly bert_embeddings_position_embeddings: Field<Tensor>;
  }
>;

/**
 * The embeddings of a token, of its segment and of its position, summed and normalized over E elements like
 * `skipLayerNorm` does, and the length of each sequence.
 *
 * - `token_id`, `segment_id`, `input_mask`: [S, B], int32. A number that a table has no row for counts as zeros.
 * - `embedded_input`: [S, B, E, 1, 1], float32, or float16 with `output_fp16` 1. The tables are rounded to it.
 * - `maskIdx`: [B, 1], int32: the first position of a sequence whose mask is 0, S where there is none.
 * - `bert_embeddings_layernorm_gamma`, `…_beta`: E elements each. `bert_embeddings_word_embeddings`,
 *   `…_token_type_embeddings`, `…_position_embeddings`: rows of E elements; positions need at least S rows.
 * - `full_mask` must be 0: there is no mask packed for one GPU's matrix instructions. `mha_type_id` is accepted for
 *   TensorRT's sake; lengths stay lengths.
 *
 * Versions 1 and 4 of TensorRT's plugin (the others take sequences without padding). Source: Devlin et al., BERT, 2018;
 * NVIDIA/TensorRT, plugin/embLayerNormPlugin.
 */
export const embLayerNormVersions: readonly EmbLayerNorm[] = defineVersions(['1', '4'], {
  name: 'CustomEmbLayerNormPluginDynamic',
  fields: {
    output_fp16: field.int(0),
    full_mask: field.int(0),
    mha_type_id: field.int(0),
    bert_embeddings_layernorm_beta: field.tensor(),
    bert_embeddings_layernorm_gamma: field.tensor(),
    bert_embeddings_word_embeddings: field.tensor(),
    bert_embeddings_token_type_embeddings: field.tensor(),
    bert_embeddings_position_embeddings: field.tensor(),
  },
  inputs: ['token_id', 'segment_id', 'input_mask'],
  outputs: ['embedded_input', 'maskIdx'],
  infer(context) {
    const { inputs, fields, fail } = context;
    for (const [name, { dtype, dims }] of Object.entries<Shaped>(inputs)) {
      if (dtype !== 'int32') fail(`${name} is ${dtype}, expected int32`);
      if (dims.length !== 2) fail(`${name} must have rank 2: positions, sequences`);
      checkExtents(name, dims, inputs.token_id.dims, context);
    }
    if (fields.full_mask !== 0) fail('full_mask must be 0');
    if (![0, 1].includes(fields.output_fp16)) fail(`output_fp16 must be 0 or 1, is ${String(fields.output_fp16)}`);
    const { gamma, beta, tables } = weightsOf(fields);
    const size = gamma.size;
    if (size === 0 || beta.size !== size) fail(`gamma has ${String(size)} elements, beta ${String(beta.size)}`);
    for (const table of tables)
      if (table.size === 0 || table.size % size !== 0)
        fail(`a table of ${String(table.size)} elements has no rows of ${String(size)}`);
    const [length, batch] = inputs.token_id.dims as [Dim, Dim];
    const positions = tables[2].size / size;
    if (typeof length === 'number' && length > positions)
      fail(`there are ${String(length)} positions, the table has ${String(positions)}`);
    return {
      embedded_input: {
        dtype: fields.output_fp16 === 1 ? 'float16' : 'float32',
        dims: [length, batch, size, 1, 1],
      },
      maskIdx: { dtype: 'int32', dims: [batch, 1] },
    };
  },
  cuda: {
    source,
    dtypes: ['int32', 'float32', 'float16'],
    tactics: rowTactics,
    launches({ inputs: { token_id, segment_id, input_mask }, outputs, fields, tactic }) {
      const { embedded_input: output, maskIdx } = outputs;
      const { gamma, beta, tables } = weightsOf(fields);
      const size = gamma.size;
      const [length, batch] = token_id.dims as [Dim, Dim];
      const rows = mulDims(length, batch);
      const shape = rowShape(size, output.dtype, rows, tactic);
      const parameters = [shape.vector, shape.held, shape.threads, shape.rows, size];
      return [
        {
          kernel: `embed<${output.type}, ${parameters.join(', ')}>`,
          grid: addDims(batch, ceilDivDims(rows, shape.rows)),
          block: shape.threads * shape.rows,
          arguments: [
            token_id,
            segment_id,
            input_mask,
            ...tables.flatMap((table) => [weightsFor(output.dtype, table), table.size / size]),
            weightsFor(output.dtype, gamma),
            weightsFor(output.dtype, beta),
            output,
            maskIdx,
            length,
            batch,
            arg.float(epsilon),
          ],
        },
      ];
    },
  },
  cpu({ token_id, segment_id, input_mask }, fields) {
    const { gamma, beta, tables } = weightsOf(fields);
    const [length, batch] = token_id.dims as [number, number];
    const size = gamma.size;
    const numbers = [token_id, segment_id].map((t) => t.data as Int32Array);
    const sums = new Float64Array(length * batch * size);
    for (const [which, table] of tables.entries()) {
      const values = readNumbers(table);
      const count = values.length / size;
      for (let row = 0; row < length * batch; row++) {
        const at = numbers[which]?.[row] ?? Math.floor(row / batch);
        if (at < 0 || at >= count) continue;
        for (let i = 0; i < size; i++) sums[row * size + i]! += values[at * size + i]!;
      }
    }
    normalizeRows(sums, readNumbers(gamma), readNumbers(beta), epsilon);
    const mask = input_mask.data as Int32Array;
    const lengths = Int32Array.from({ length: batch }, (_, b) => {
      let s = 0;
      while (s < length && mask[s * batch + b] !== 0) s++;
      return s;
    });
    return { embedded_input: Float32Array.from(sums), maskIdx: lengths };
  },
});

interface Weights {
  readonly gamma: Tensor;
  readonly beta: Tensor;
  /** Of words, segments and positions. */
  readonly tables: readonly [Tensor, Tensor, Tensor];
}

function weightsOf(fields: {
  readonly bert_embeddings_layernorm_beta: Tensor;
  readonly bert_embeddings_layernorm_gamma: Tensor;
  readonly bert_embeddings_word_embeddings: Tensor;
  readonly bert_embeddings_token_type_embeddings: Tensor;
  readonly bert_embeddings_position_embeddings: Tensor;
}): Weights {
  return {
    gamma: fields.bert_embeddings_layernorm_gamma,
    beta: fields.bert_embeddings_layernorm_beta,
    tables: [
      fields.bert_embeddings_word_embeddings,
      fields.bert_embeddings_token_type_embeddings,
      fields.bert_embeddings_position_embeddings,
    ],
  };
}

/** The newest version; see `embLayerNormVersions`. */
export const embLayerNorm: EmbLayerNorm = embLayerNormVersions.at(-1)!;
