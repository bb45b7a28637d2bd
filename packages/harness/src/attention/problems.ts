/** Attention as it occurs in well-known networks, and at the edges of what kernels take. */

import type { DType } from '@tensorwright/core';

export interface Problem {
  readonly name: string;
  readonly dtype: DType;
  readonly batch: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly size: number;
  readonly causal: boolean;
  /** Whether keys are masked, the same for all queries: as networks with padding do. */
  readonly masked: boolean;
}

const usual = { dtype: 'float16', causal: false, masked: false } as const;

function problem(
  name: string,
  [batch, heads, length, size]: readonly [number, number, number, number],
  more: Partial<Problem> = {},
): Problem {
  return { ...usual, name, batch, heads, keyHeads: heads, queries: length, keys: length, size, ...more };
}

export const problems: readonly Problem[] = [
  problem('bert-1-128', [1, 12, 128, 64], { masked: true }),
  problem('bert-1-384', [1, 12, 384, 64], { masked: true }),
  problem('bert-8-128', [8, 12, 128, 64], { masked: true }),
  problem('bert-8-384', [8, 12, 384, 64], { masked: true }),
  problem('bert-32-128', [32, 12, 128, 64], { masked: true }),
  problem('vit-1', [1, 12, 197, 64]),
  problem('vit-8', [8, 12, 197, 64]),
  problem('vit-32', [32, 12, 197, 64]),
  problem('gpt2-1-128', [1, 12, 128, 64], { causal: true }),
  problem('gpt2-1-1024', [1, 12, 1024, 64], { causal: true }),
  problem('swin-windows', [64, 3, 49, 32]),
  problem('diffusion-4096', [2, 8, 4096, 40]),
  problem('diffusion-1024', [2, 8, 1024, 80]),
  problem('diffusion-text', [2, 8, 4096, 40], { keys: 77 }),
  problem('llama-2048', [1, 32, 2048, 128], { causal: true, keyHeads: 8, dtype: 'bfloat16' }),
  problem('heads-of-96', [2, 8, 500, 96], { causal: true }),
  problem('heads-of-256', [1, 8, 1000, 256], { causal: true }),
];
