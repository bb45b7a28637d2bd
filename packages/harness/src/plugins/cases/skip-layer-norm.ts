import { Tensor } from '@tensorwright/core';
import { skipLayerNorm } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';

function problem(
  name: string,
  random: Random,
  dims: readonly number[],
  size: number,
  more: { hasBias?: boolean; offset?: number; declared?: readonly (number | string)[]; timed?: boolean } = {},
): Problem {
  const { hasBias = false, offset = 0, declared, timed = false } = more;
  const weights = (low: number, high: number): Tensor =>
    new Tensor('float32', Float32Array.from(random.numbers(size, low, high)), [1, 1, size]);
  const operand = (from: number): Operand => ({
    ...random.floats(dims, from - 1, from + 1),
    ...(declared && { declared }),
  });
  return {
    name,
    inputs: { input: operand(offset), skip: operand(0) },
    fields: { gamma: weights(0.5, 1.5), beta: weights(-1, 1), ...(hasBias && { bias: weights(-1, 1) }) },
    timed,
  };
}

const dataOf = (fields: Problem['fields'], name: string): Float32Array | undefined =>
  (fields[name] as Tensor | undefined)?.data as Float32Array | undefined;

export const skipLayerNormCase: PluginCase = {
  name: 'skip-layer-norm',
  plugin: skipLayerNorm,
  floats: ['float32', 'float16', 'bfloat16'],
  problems: (random) => [
    problem('TensorRT shape', random, [5, 3, 48, 1, 1], 48, { hasBias: true }),
    problem('far from zero', random, [2, 7, 64], 64, { offset: 30 }),
    problem('odd rows', random, [3, 5, 67], 67, { hasBias: true }),
    problem('short rows', random, [37, 6], 6),
    problem('one element', random, [4, 1], 1),
    problem('a block each', random, [3, 1, 4096], 4096, { hasBias: true }),
    problem('longer than registers', random, [2, 1, 16400], 16400),
    problem('long and odd', random, [2, 1, 17003], 17003),
    problem('rows of the run', random, [4, 2, 96], 96, { declared: ['sequence', 'batch', 96] }),
    problem('no rows', random, [0, 2, 96], 96, { declared: ['sequence', 'batch', 96] }),
    problem('BERT-base 8 x 384', random, [384, 8, 768, 1, 1], 768, { timed: true }),
  ],
  reference({ inputs: { input, skip }, fields }) {
    const [gamma, beta, bias] = ['gamma', 'beta', 'bias'].map((name) => dataOf(fields, name));
    const size = gamma!.length;
    const output = new Float64Array(input!.values.length);
    for (let row = 0; row < output.length; row += size) {
      const sums = Float64Array.from(
        { length: size },
        (_, i) => input!.values[row + i]! + skip!.values[row + i]! + (bias?.[i] ?? 0),
      );
      const mean = sums.reduce((a, b) => a + b, 0) / size;
      const variance = sums.reduce((a, b) => a + (b - mean) ** 2, 0) / size;
      sums.forEach((s, i) => {
        output[row + i] = ((s - mean) / Math.sqrt(variance + 1e-5)) * gamma![i]! + beta![i]!;
      });
    }
    return { output };
  },
  standard(network, { input, skip }, { fields }) {
    const [gamma, beta, bias] = ['gamma', 'beta', 'bias'].map((name) => fields[name] as Tensor | undefined);
    const constant = (t: Tensor) =>
      network.addCast(network.addConstant(new Tensor('float32', t.data as Float32Array, [t.size])), input!.dtype);
    const rows = network.addShuffle(network.addElementWise(input!, skip!, 'sum'), { reshape: [-1, gamma!.size] });
    const sum = bias ? network.addElementWise(rows, constant(bias), 'sum') : rows;
    return { output: network.addNormalization(sum, constant(gamma!), constant(beta!), [-1]) };
  },
};
