/** Plugins that come with Tensorwright, named and called like those of TensorRT. */

import '../register-backend.js';
import type { AnyPlugin } from '../plugin.js';
import { PluginRegistry } from '../registry.js';
import { disentangledAttentionVersions } from './disentangled-attention.js';
import { cropAndResizeVersions } from './crop-and-resize.js';
import { efficientNmsOnnx } from './efficient-nms-onnx.js';
import { efficientNms } from './efficient-nms.js';
import { embLayerNormVersions } from './emb-layer-norm.js';
import { fusedRotaryEmbedding } from './fused-rotary-embedding.js';
import { groupNorm } from './group-norm.js';
import { instanceNormVersions } from './instance-norm.js';
import { modulatedDeformConvVersions } from './modulated-deform-conv.js';
import { multiscaleDeformableAttentionVersions } from './multiscale-deformable-attention.js';
import { pagedKvCacheUpdate } from './paged-kv-cache-update.js';
import { pillarScatter } from './pillar-scatter.js';
import { roiAlignVersions } from './roi-align.js';
import { nonZero } from './non-zero.js';
import { scatterElementsVersions } from './scatter-elements.js';
import { skipLayerNormVersions } from './skip-layer-norm.js';
import { topkLastDim } from './topk-last-dim.js';
import { voxelGenerator } from './voxel-generator.js';

export { modulatedDeformConv, modulatedDeformConvVersions } from './modulated-deform-conv.js';
export { voxelGenerator } from './voxel-generator.js';
export { pillarScatter } from './pillar-scatter.js';
export { disentangledAttention, disentangledAttentionVersions } from './disentangled-attention.js';
export { cropAndResize, cropAndResizeVersions } from './crop-and-resize.js';
export { efficientNmsOnnx } from './efficient-nms-onnx.js';
export { efficientNms } from './efficient-nms.js';
export { embLayerNorm, embLayerNormVersions } from './emb-layer-norm.js';
export { fusedRotaryEmbedding } from './fused-rotary-embedding.js';
export { groupNorm } from './group-norm.js';
export { instanceNorm, instanceNormVersions } from './instance-norm.js';
export {
  multiscaleDeformableAttention,
  multiscaleDeformableAttentionVersions,
} from './multiscale-deformable-attention.js';
export { roiAlign, roiAlignVersions } from './roi-align.js';
export { pagedKvCacheUpdate } from './paged-kv-cache-update.js';
export { topkLastDim } from './topk-last-dim.js';
export { nonZero } from './non-zero.js';
export { scatterElements, scatterElementsVersions } from './scatter-elements.js';
export { skipLayerNorm, skipLayerNormVersions } from './skip-layer-norm.js';

/** All of them, in all versions. */
export const stockPlugins: readonly AnyPlugin[] = [
  ...modulatedDeformConvVersions,
  voxelGenerator,
  pillarScatter,
  ...disentangledAttentionVersions,
  efficientNms,
  efficientNmsOnnx,
  ...roiAlignVersions,
  ...cropAndResizeVersions,
  topkLastDim,
  ...scatterElementsVersions,
  nonZero,
  ...embLayerNormVersions,
  fusedRotaryEmbedding,
  groupNorm,
  ...instanceNormVersions,
  pagedKvCacheUpdate,
  ...skipLayerNormVersions,
  ...multiscaleDeformableAttentionVersions,
];

/** Puts those that it does not know yet in the registry, so that ONNX models and plans can name them. */
export function registerStockPlugins(registry: PluginRegistry = PluginRegistry.global): void {
  const known = new Set(registry.list().map((plugin) => plugin.operator.name));
  for (const plugin of stockPlugins) if (!known.has(plugin.operator.name)) registry.register(plugin);
}
