/** CustomSkipLayerNormPluginDynamic: layer normalization of a sum, as it ends each half of a transformer's block. */

import { ceilDivDims, type Dim, productOf, readNumbers, Tensor } from '@tensorwright/core';
import { field, type Field, type OptionalField } from '../fields.js';
import { arg } from '../launch-argument.js';
import type { Plugin } from '../plugin.js';
import { defineVersions } from './define-versions.js';
import { checkExtents } from './extents.js';
import { checkFloat } from './floats.js';
import { layerNormRows, normalizeRows, rowShape, rowTactics, weightsFor } from './layer-norm-rows.js';

/** Added to the variance. */
const epsilon = 1e-5;

const source = `${layerNormRows}
template <typename T>
struct SkipSum {
  const T *input, *skip, *bias;

  template <int V, bool Aligned>
  TW_DEVICE Vec<float, V> load(int column) const {
    Vec<float, V> x = load_floats<Aligned, V>(input + column);
    const Vec<float, V> y = load_floats<Aligned, V>(skip + column);
#pragma unroll
    for (int v = 0; v < V; ++v) x[v] += y[v];
    if (bias) {
      const Vec<float, V> z = load_floats<true, V>(bias + column);
#pragma unroll
      for (int v = 0; v < V; ++v) x[v] += z[v];
    }
    return x;
  }
};

template <typename T, int E>
struct SkipSums {
  const T *input, *skip, *bias;
  TW_DEVICE SkipSum<T> row(i64 i) const { return {input + i * E, skip + i * E, bias}; }
};

template <typename T, int V, int N, int Threads, int Rows, int E>
__global__ void skip_layer_norm(const T* input, const T* skip, const T* bias, const T* gamma, const T* beta, T* output,
                                i64 rows, float epsilon) {
  const SkipSums<T, E> source{input, skip, bias};
  const i64 block = static_cast<i64>(blockIdx.x);
  if (is_aligned<V>(input) && is_aligned<V>(skip) && is_aligned<V>(output))
    normalize_rows<V, N, Threads, Rows, E, true>(source, block, rows, epsilon, gamma, beta, output);
  else
    normalize_rows<V, N, Threads, Rows, E, false>(source, block, rows, epsilon, gamma, beta, output);
}`;

/** The axis that rows lie along: the last of γ's size with nothing but extents of 1 behind. */
function hiddenAxis(dims: readonly Dim[], size: number): number {
  let axis = dims.length - 1;
  while (axis > 0 && dims[axis] === 1 && size !== 1) axis--;
  return axis;
}

type SkipLayerNorm = Plugin<
  readonly ['input', 'skip'],
  readonly ['output'],
  {
    readonly type_id: OptionalField<number>;
    readonly ld: OptionalField<number>;
    readonly beta: Field<Tensor>;
    readonly gamma: Field<Tensor>;
    readonly bias: OptionalField<Tensor>;
  }
>;

/**
 * `output = γ · (s - mean(s)) / √(variance(s) + 1e-5) + β` with `s = input + skip + bias`, over rows of E elements.
 *
 * - `input`, `skip`: [S, B, E, 1, 1], [S, B, E] or any shape whose last axis, but for extents of 1, is E; float32, float16
 *   or bfloat16. Sums are made in float32.
 * - `output`: like `input`.
 * - `gamma`, `beta`: E elements each. `bias`: E elements; default: none. They are rounded to the dtype of the input.
 * - `type_id`, `ld`: accepted for TensorRT's sake; the input's dtype and γ's size say the same.
 *
 * Refused: shapes that differ, weights of unequal sizes.
 *
 * Versions 1, 2, 5 and 6 of TensorRT's plugin (3, 4, 7 and 8 take interleaved int8). Source: Ba, Kiros and Hinton, Layer
 * Normalization, 2016; NVIDIA/TensorRT, plugin/skipLayerNormPlugin.
 */
export const skipLayerNormVersions: readonly SkipLayerNorm[] = defineVersions(['1', '2', '5', '6'], {
  name: 'CustomSkipLayerNormPluginDynamic',
  fields: {
    type_id: field.int(0),
    ld: field.int(0),
    beta: field.tensor(),
    gamma: field.tensor(),
    bias: field.tensor(new Tensor('float32', new Float32Array(0), [0])),
  },
  inputs: ['input', 'skip'],
  outputs: ['output'],
  infer(context) {
    const {
      inputs: { input, skip },
      fields: { gamma, beta, bias },
      fail,
    } = context;
    const { dtype, dims } = input;
    checkFloat('input', input, fail);
    if (skip.dtype !== dtype) fail(`input is ${dtype}, skip is ${skip.dtype}`);
    checkExtents('skip', skip.dims, dims, context);
    if (gamma.size === 0 || beta.size !== gamma.size || (bias.size !== 0 && bias.size !== gamma.size))
      fail(`gamma has ${String(gamma.size)} elements, beta ${String(beta.size)}, bias ${String(bias.size)}`);
    if (dims[hiddenAxis(dims, gamma.size)] !== gamma.size)
      fail(`the rows of input must have as many elements as gamma: ${String(gamma.size)}`);
    return { output: { dtype, dims } };
  },
  cuda: {
    source,
    dtypes: ['float32', 'float16', 'bfloat16'],
    tactics: rowTactics,
    launches({ inputs: { input, skip }, outputs: { output }, fields: { gamma, beta, bias }, tactic }) {
      const { dtype, dims, type } = input;
      const size = gamma.size;
      const rows = productOf(dims.slice(0, hiddenAxis(dims, size)));
      const shape = rowShape(size, dtype, rows, tactic);
      const weights = [bias.size > 0 ? bias : undefined, gamma, beta].map((w) => w && weightsFor(dtype, w));
      return [
        {
          kernel: `skip_layer_norm<${type}, ${[shape.vector, shape.held, shape.threads, shape.rows, size].join(', ')}>`,
          grid: ceilDivDims(rows, shape.rows),
          block: shape.threads * shape.rows,
          arguments: [input, skip, ...weights, output, rows, arg.float(epsilon)],
        },
      ];
    },
  },
  cpu({ input, skip }, { gamma, beta, bias }) {
    const [x, y, b] = [readNumbers(input), readNumbers(skip), readNumbers(bias)];
    const sums = x.map((v, i) => v + y[i]! + (b.length > 0 ? b[i % b.length]! : 0));
    normalizeRows(sums, readNumbers(gamma), readNumbers(beta), epsilon);
    return { output: Float32Array.from(sums) };
  },
});

/** The newest version; see `skipLayerNormVersions`. */
export const skipLayerNorm: SkipLayerNorm = skipLayerNormVersions.at(-1)!;
