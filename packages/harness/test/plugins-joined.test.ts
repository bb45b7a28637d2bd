/** Stock plugins beside the layers that follow them, in the layout of those and in one kernel with them, and in bfloat16. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import type { DType } from '@tensorwright/core';
import {
  disentangledAttention,
  multiscaleDeformableAttention,
  pillarScatter,
  registerStockPlugins,
} from '@tensorwright/plugins/stock';
import { describe, it } from 'vitest';
import { compare } from '../../backend-cuda/test/compare.js';

registerStockPlugins();

describe.skipIf(cudaBackend.device() === undefined)('on a device', () => {
  it.each([
    ['float32', 8],
    ['float16', 24],
    ['float16', 3],
    ['bfloat16', 16],
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
    ['bfloat16', 64],
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
      tolerance: { float32: 2e-6, float16: 2e-3, bfloat16: 1.6e-2 }[dtype as string]!,
    });
  });

  it('MultiscaleDeformableAttnPlugin_TRT computes bfloat16', async () => {
    const sizes = [4, 5, 2, 3];
    await compare({
      inputs: [
        { dtype: 'bfloat16', dims: [2, 26, 3, 16] },
        { dtype: 'int32', dims: [2, 2], fill: (i) => sizes[i]! },
        { dtype: 'int32', dims: [2], fill: (i) => 20 * i },
        { dtype: 'bfloat16', dims: [2, 7, 3, 2, 4, 2], fill: (i) => ((i * 37) % 41) / 32 - 0.125 },
        { dtype: 'bfloat16', dims: [2, 7, 3, 2, 4], fill: (i) => ((i * 13) % 16) / 64 },
      ],
      graph: (b, ...operands) => b.op(multiscaleDeformableAttention.operator.name, operands, {}),
      steps: ['cuda.provided.MultiscaleDeformableAttnPlugin_TRT@2.256'],
      tolerance: 1.6e-2,
    });
  });
});
