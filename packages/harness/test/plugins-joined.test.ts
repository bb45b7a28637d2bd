/** Stock plugins beside the layers that follow them: in the layout of those, and in one kernel with them. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import type { DType } from '@tensorwright/core';
import { disentangledAttention, pillarScatter, registerStockPlugins } from '@tensorwright/plugins/stock';
import { describe, it } from 'vitest';
import { compare } from '../../backend-cuda/test/compare.js';

registerStockPlugins();

describe.skipIf(cudaBackend.device() === undefined)('on a device', () => {
  it.each([
    ['float32', 8],
    ['float16', 24],
    ['float16', 3],
  ] as const)('PillarScatterPlugin writes channels last: %s, %i channels', async (dtype: DType, channels: number) => {
    await compare({
      inputs: [
        { dtype, dims: [2, 9, channels] },
        { dtype: 'int32', dims: [2, 9, 4], fill: (i) => (i * 7) % 6 },
        { dtype: 'int32', dims: [2], fill: (i) => 9 - 4 * i },
      ],
      graph: (b, ...operands) => b.op(pillarScatter.operator.name, operands, { dense_shape: [5, 7] }),
      force: { tactic: 'cuda.provided.PillarScatterPlugin@1.format1', parameters: {} },
    });
  });

  it.each([
    ['float32', 70],
    ['float16', 72],
    ['float16', 65],
  ] as const)('DisentangledAttention_TRT masks its scores: %s, %i tokens', async (dtype: DType, length: number) => {
    await compare({
      inputs: [
        { dtype, dims: [2, length, length] },
        { dtype, dims: [2, length, 16] },
        { dtype, dims: [2, length, 16] },
        { dtype, dims: [1, 1, length] },
      ],
      graph: (b, ...[contents, right, left, mask]) => {
        const fields = { span: 8, factor: 0.25, log_buckets: true };
        const scores = b.op(disentangledAttention.operator.name, [contents!, right!, left!], fields);
        return b.op('add', [scores, mask!]);
      },
      steps: ['cuda.provided.DisentangledAttention_TRT@2'],
      tolerance: dtype === 'float16' ? 2e-3 : 2e-6,
    });
  });
});
