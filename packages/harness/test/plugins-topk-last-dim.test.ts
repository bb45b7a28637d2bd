/** TopkLastDim against ONNX Runtime's TopK, and the way in which many blocks share a row. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { registerStockPlugins, topkLastDim } from '@tensorwright/plugins/stock';
import { type DType, readNumbers, Tensor, tensorFromNumbers } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { compare } from '../../backend-cuda/test/compare.js';
import { constant } from '../../parser-onnx/test/support/one-node-model.js';
import { runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import { topkLastDimCase } from '../src/plugins/cases/topk-last-dim.js';
import { Random } from '../src/plugins/random.js';

registerStockPlugins();

describe('the formula of TopkLastDim', () => {
  const problems = topkLastDimCase
    .problems(new Random(1))
    .filter(({ timed, inputs: { input } }) => !timed && !input!.declared && !input!.values.some(Number.isNaN))
    .filter(({ inputs: { input } }) => input!.values.length > 0);

  it.each(problems)("is ONNX Runtime's: $name", async (problem) => {
    const { k, axis = -1, is_largest: largest = 1 } = problem.fields as Record<string, number>;
    const { dtype, dims, values } = problem.inputs['input']!;
    const of: DType = dtype === 'float' ? 'float32' : dtype;
    const [got, places] = await runOrt({
      op: 'TopK',
      opset: 11,
      inputs: [tensorFromNumbers(of, values, dims), constant(new Tensor('int64', BigInt64Array.of(BigInt(k!)), [1]))],
      attributes: { axis, largest, sorted: 1 },
      outputs: [of, 'int64'],
    });
    const wanted = topkLastDimCase.reference(problem);
    expect(readNumbers(places!)).toEqual(wanted['indices']);
    expect(readNumbers(got!)).toEqual(Float64Array.from(wanted['values']!, of === 'float32' ? Math.fround : Number));
  });
});

/** Problems for which a way launches what another one does, in whose place it is not offered. */
const twins: Readonly<Record<string, readonly string[]>> = {
  tiles: ['elements of the run'],
  grid: ['elements of the run', 'more than fit in a block'],
};

describe.skipIf(cudaBackend.device() === undefined).each(['tiles', 'grid'])('TopkLastDim on many blocks: %s', (way) => {
  const problems = topkLastDimCase
    .problems(new Random(1))
    .filter(
      ({ name, timed, inputs: { input } }) =>
        !timed && !twins[way]!.includes(name) && (input!.declared !== undefined || input!.dims.some((d) => d > 1024)),
    );

  it.each(problems)('computes $name', async ({ inputs, fields, floatFields }) => {
    const { dtype, dims, values, declared } = inputs['input']!;
    await compare({
      inputs: [
        {
          dtype: dtype === 'float' ? 'float32' : dtype,
          dims,
          fill: (i) => values[i]!,
          ...(declared && { symbols: declared.map(String) }),
        },
      ],
      graph: (b, x) => {
        const attributes = { ...fields, ...floatFields!.float32 };
        return b.node(topkLastDim.operator.name, [x], attributes as never);
      },
      force: { tactic: `cuda.provided.TopkLastDim@1.${way}`, parameters: {} },
      tolerance: 1e-7,
    });
  });
});
