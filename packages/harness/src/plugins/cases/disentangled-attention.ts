/** DisentangledAttention_TRT against equations 3 and 4 of DeBERTa, with the buckets of its second version. */

import { type NetworkTensor, Tensor } from '@tensorwright/core';
import { disentangledAttention } from '@tensorwright/plugins/stock';
import type { PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

function problemOf(name: string, heads: number, length: number, fields: Fields, random: Random): Problem {
  const places = 2 * fields.span;
  return {
    name,
    fields,
    inputs: {
      data0: random.floats([heads, length, length]),
      data1: random.floats([heads, length, places]),
      data2: random.floats([heads, length, places]),
    },
  };
}

interface Fields extends Readonly<Record<string, unknown>> {
  readonly span: number;
  readonly factor: number;
  readonly log_buckets?: boolean;
}

function problems(random: Random): Problem[] {
  const [name, large] = ['DeBERTa-V3 base, 8 x 512', { span: 256, factor: 1 / Math.sqrt(192) }] as const;
  const dynamic = problemOf('extents of the run', 3, 72, { span: 16, factor: 0.1 }, random);
  const declared: Readonly<Record<string, readonly (number | string)[]>> = {
    data0: ['B', 'S', 'S'],
    data1: ['B', 'S', 32],
    data2: ['B', 'S', 32],
  };
  return [
    problemOf('logarithmic buckets', 2, 96, { span: 8, factor: 0.125 }, random),
    problemOf('distances beyond all buckets', 1, 131, { span: 12, factor: 0.3 }, random),
    problemOf('an odd span', 1, 67, { span: 5, factor: 0.3 }, random),
    problemOf('the smallest span', 1, 9, { span: 2, factor: 0.3 }, random),
    problemOf('span 3', 1, 9, { span: 3, factor: 0.3 }, random),
    problemOf('one place each side, linear', 2, 9, { span: 1, factor: 0.3, log_buckets: false }, random),
    problemOf('linear distances', 3, 80, { span: 24, factor: 0.25, log_buckets: false }, random),
    problemOf('linear distances within the span', 1, 33, { span: 64, factor: 0.25, log_buckets: false }, random),
    problemOf('a sequence of one', 4, 1, { span: 4, factor: 0.5 }, random),
    problemOf('an empty sequence', 4, 0, { span: 4, factor: 0.5 }, random),
    {
      ...dynamic,
      inputs: Object.fromEntries(Object.entries(dynamic.inputs).map(([n, o]) => [n, { ...o, declared: declared[n]! }])),
    },
    timed(name, large, (r) => problemOf(name, 96, 512, large, r).inputs),
  ];
}

/** δ of the paper; relative positions beyond the middle share buckets whose sizes grow. */
function delta(distance: number, { span, log_buckets: inLogarithms = true }: Fields): number {
  const middle = Math.floor(span / 2);
  let bucket = distance;
  if (inLogarithms && Math.abs(distance) > middle) {
    const share = Math.log(Math.abs(distance) / middle) / Math.log((2 * span - 1) / middle);
    bucket = Math.sign(distance) * (Math.ceil(share * (middle - 1)) + middle);
  }
  if (bucket <= -span) return 0;
  return bucket >= span ? 2 * span - 1 : bucket + span;
}

function reference({ inputs, fields }: Problem): { result: Float64Array } {
  const { factor, span } = fields as Fields;
  const [heads, length] = inputs['data0']!.dims as [number, number];
  const [contents, right, left] = ['data0', 'data1', 'data2'].map((name) => inputs[name]!.values);
  const places = Array.from({ length: 2 * length }, (_, i) => delta(i - length, fields as Fields));
  const result = new Float64Array(heads * length * length);
  for (let b = 0; b < heads; b++)
    for (let i = 0; i < length; i++)
      for (let j = 0; j < length; j++) {
        const place = places[i - j + length]!;
        const at = (b * length + i) * length + j;
        const toPosition = right![(b * length + i) * 2 * span + place]!;
        const fromPosition = left![(b * length + j) * 2 * span + place]!;
        result[at] = factor * (contents![at]! + toPosition + fromPosition);
      }
  return { result };
}

/** As Hugging Face's model is exported: an element gathered for each score, and a transpose. */
const standard: PluginCase['standard'] = (network, { data0, data1, data2 }, { inputs, fields }) => {
  const [heads, length] = inputs['data0']!.dims as [number, number, number];
  const gathered = (data: NetworkTensor, sign: number): NetworkTensor => {
    const places = Int32Array.from({ length: length * length }, (_, at) =>
      delta(sign * (Math.floor(at / length) - (at % length)), fields as Fields),
    );
    const shared = network.addConstant(new Tensor('int32', places, [1, length, length]));
    const [indices] = network.addOperator('expand', [shared], { dims: [heads, length, length] });
    return network.addGather(data, indices!, { axis: 2, mode: 'element' });
  };
  const turned = network.addShuffle(gathered(data2!, -1), { firstTranspose: [0, 2, 1] });
  const sum = network.addElementWise(network.addElementWise(data0!, gathered(data1!, 1), 'sum'), turned, 'sum');
  const factor = network.addCast(
    network.addConstant(new Tensor('float32', Float32Array.of((fields as Fields).factor), [1, 1, 1])),
    data0!.dtype,
  );
  return { result: network.addElementWise(sum, factor, 'prod') };
};

export const disentangledAttentionCase: PluginCase = {
  name: 'disentangled-attention',
  plugin: disentangledAttention,
  problems,
  reference,
  standard,
};
