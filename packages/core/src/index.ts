export { type Agreement, agreementsOf } from './agreements.js';
export * from './backend.js';
export * from './breathe.js';
export * from './broadcast.js';
export * from './constant.js';
export * from './dim.js';
export * from './dtype.js';
export * from './elements.js';
export * from './errors.js';
export * from './evaluate.js';
export * from './facts.js';
export { whyUnreadable } from './file-errors.js';
export * from './float-formats.js';
export * from './graph.js';
export { GraphBuilder } from './graph-builder.js';
export * from './group-view.js';
export * from './library-kernels.js';
export * from './logger.js';
export * from './memo.js';
export * from './name-pattern.js';
export * from './network.js';
export { type InputDim, NetworkDefinition } from './network-definition.js';
export { NetworkLayers, type ReduceOperation, type TopKOperation } from './definition/network-layers.js';
export { NetworkTensor } from './definition/tensor.js';
export type { LayerOptions } from './definition/layers.js';
export type { LoopIteration, LoopResult } from './definition/control.js';
export type {
  AttentionOptions,
  NormalizationOptions,
  QuantizeOptions,
  ResizeOptions,
} from './definition/composites.js';
export type { ActivationType, ElementWiseOperation, ScaleMode, UnaryOperation } from './definition/elementwise.js';
export type { MatrixOperation } from './definition/contractions.js';
export type { SampleMode, ShuffleParameters, SliceParameters } from './definition/shaping.js';
export type { ConvolutionOptions, DeconvolutionOptions, PoolingOptions, PoolingType } from './definition/windows.js';
export * from './operator.js';
export { dtypeOf, layoutsFor } from './operand-type.js';
export * from './operator-kernels.js';
export * from './operator-source.js';
export * from './operators/index.js';
export { definerOf, freeSymbols, topologicalOrder } from './order.js';
export * from './plan.js';
export * from './plan-container.js';
export * from './plan-operator.js';
export * from './plugin-key.js';
export * from './serialize.js';
export * from './provenance.js';
export * from './rewrite.js';
export * from './subgraph-pattern.js';
export * from './scalar.js';
export * from './scalar-tensor.js';
export * from './memory-view.js';
export * from './tensor.js';
export * from './type.js';
