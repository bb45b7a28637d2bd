/** The stock plugins' cases. */

import type { PluginCase } from '../case.js';
import { modulatedDeformConvCase } from './modulated-deform-conv.js';
import { voxelGeneratorCase } from './voxel-generator.js';
import { pagedKvCacheUpdateCase } from './paged-kv-cache-update.js';
import { pillarScatterCase } from './pillar-scatter.js';
import { disentangledAttentionCase } from './disentangled-attention.js';
import { efficientNmsCase, efficientNmsOnnxCase } from './efficient-nms.js';
import { groupNormCase, instanceNormCase } from './channel-norms.js';
import { fusedRotaryEmbeddingCase } from './fused-rotary-embedding.js';
import { embLayerNormCase } from './emb-layer-norm.js';
import { multiscaleDeformableAttentionCase } from './multiscale-deformable-attention.js';
import { cropAndResizeCase, roiAlignCase } from './regions.js';
import { topkLastDimCase } from './topk-last-dim.js';
import { nonZeroCase } from './non-zero.js';
import { scatterElementsCase } from './scatter-elements.js';
import { skipLayerNormCase } from './skip-layer-norm.js';

export const cases: readonly PluginCase[] = [
  modulatedDeformConvCase,
  voxelGeneratorCase,
  pillarScatterCase,
  disentangledAttentionCase,
  efficientNmsCase,
  efficientNmsOnnxCase,
  roiAlignCase,
  cropAndResizeCase,
  topkLastDimCase,
  scatterElementsCase,
  nonZeroCase,
  embLayerNormCase,
  fusedRotaryEmbeddingCase,
  groupNormCase,
  instanceNormCase,
  pagedKvCacheUpdateCase,
  skipLayerNormCase,
  multiscaleDeformableAttentionCase,
];
