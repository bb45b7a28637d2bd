import { readNumbers, Tensor, tensorFromNumbers } from '@tensorwright/core';
import { embLayerNorm } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';

const names = {
  gamma: 'bert_embeddings_layernorm_gamma',
  beta: 'bert_embeddings_layernorm_beta',
  words: 'bert_embeddings_word_embeddings',
  segments: 'bert_embeddings_token_type_embeddings',
  positions: 'bert_embeddings_position_embeddings',
};

interface More {
  readonly words?: number;
  readonly positions?: number;
  /** Numbers that no table has. */
  readonly strays?: boolean;
  readonly declared?: readonly (number | string)[];
  readonly timed?: boolean;
}

function problem(
  name: string,
  random: Random,
  [length, batch, size]: readonly [number, number, number],
  more: More = {},
): Problem {
  const { words = 50, positions = length + 2, strays = false, declared, timed = false } = more;
  const table = (rows: number): Tensor =>
    new Tensor('float32', Float32Array.from(random.numbers(rows * size)), [rows, size]);
  const weights = (low: number): Tensor =>
    new Tensor('float32', Float32Array.from(random.numbers(size, low, low + 1)), [size]);
  const dims = [length, batch];
  const operand = (values: (i: number) => number): Operand => ({
    dtype: 'int32',
    dims,
    values: Float64Array.from({ length: length * batch }, (_, i) => values(i)),
    ...(declared && { declared }),
  });
  const lengths = Array.from({ length: batch }, () => random.integer(length + 1));
  return {
    name,
    inputs: {
      token_id: operand((i) => (strays && i % 5 === 0 ? [-1, words][i % 2]! : random.integer(words))),
      segment_id: operand(() => random.integer(2)),
      input_mask: operand((i) => Number(Math.floor(i / batch) < lengths[i % batch]!)),
    },
    fields: {
      [names.gamma]: weights(0.5),
      [names.beta]: weights(-0.5),
      [names.words]: table(words),
      [names.segments]: table(2),
      [names.positions]: table(positions),
    },
    floatFields: { float32: { output_fp16: 0 }, float16: { output_fp16: 1 } },
    timed,
  };
}

export const embLayerNormCase: PluginCase = {
  name: 'emb-layer-norm',
  plugin: embLayerNorm,
  problems: (random) => [
    problem('rows of a warp', random, [7, 3, 64]),
    problem('odd rows', random, [5, 2, 35]),
    problem('a block each', random, [3, 1, 2304]),
    problem('numbers of no row', random, [11, 2, 48], { strays: true }),
    problem('lengths of the run', random, [6, 2, 32], { declared: ['sequence', 'batch'], positions: 16 }),
    problem('no sequences', random, [4, 0, 32], { declared: ['sequence', 'batch'], positions: 16 }),
    problem('BERT-base 8 x 384', random, [384, 8, 768], { words: 30522, positions: 512, timed: true }),
  ],
  reference({ inputs, fields }) {
    const { token_id: words, segment_id: segments, input_mask: mask } = inputs;
    const [length, batch] = words!.dims as [number, number];
    const data = (name: string): Float32Array => (fields[name] as Tensor).data as Float32Array;
    const [gamma, beta] = [data(names.gamma), data(names.beta)];
    const size = gamma.length;
    const entry = (table: Float32Array, row: number, i: number): number => (row < 0 ? 0 : (table[row * size + i] ?? 0));
    const embedded = new Float64Array(length * batch * size);
    const lengths = new Float64Array(batch).fill(length);
    for (let s = length - 1; s >= 0; s--)
      for (let b = 0; b < batch; b++) {
        const at = s * batch + b;
        if (mask!.values[at] === 0) lengths[b] = s;
        const sums = Float64Array.from(
          { length: size },
          (_, i) =>
            entry(data(names.words), words!.values[at]!, i) +
            entry(data(names.segments), segments!.values[at]!, i) +
            entry(data(names.positions), s, i),
        );
        const mean = sums.reduce((x, y) => x + y, 0) / size;
        const variance = sums.reduce((x, y) => x + (y - mean) ** 2, 0) / size;
        sums.forEach((x, i) => {
          embedded[at * size + i] = ((x - mean) / Math.sqrt(variance + 1e-5)) * gamma[i]! + beta[i]!;
        });
      }
    return { embedded_input: embedded, maskIdx: lengths };
  },
  standard(network, { token_id, segment_id, input_mask }, { fields, inputs }) {
    const dtype = fields['output_fp16'] === 1 ? 'float16' : 'float32';
    const constant = (name: string) => {
      const t = fields[name] as Tensor;
      return network.addConstant(tensorFromNumbers(dtype, readNumbers(t), t.dims));
    };
    const [length] = inputs['token_id']!.dims as [number];
    const size = (fields[names.gamma] as Tensor).size;
    const positions = network.addSlice(constant(names.positions), { start: [0, 0], size: [length, size] });
    const words = network.addGather(constant(names.words), token_id!);
    const segments = network.addGather(constant(names.segments), segment_id!);
    const sum = network.addElementWise(
      network.addElementWise(words, segments, 'sum'),
      network.addShuffle(positions, { reshape: [length, 1, size] }),
      'sum',
    );
    return {
      embedded_input: network.addNormalization(sum, constant(names.gamma), constant(names.beta), [-1]),
      maskIdx: network.addReduce(input_mask!, 'sum', [0]),
    };
  },
};
