/** The umbrella: what most programs need, from one package. The command line is `main.ts`. */

export {
  Builder,
  type BuildOptions,
  type BuildPhase,
  type BuildProgress,
  Plan,
  type PrecisionOptions,
  type Profile,
  type ProfileShape,
} from '@tensorwright/builder';
export {
  type Backend,
  type DType,
  type ErrorCode,
  type LayerOptions,
  loadBackend,
  type Logger,
  type LogRecord,
  type Network,
  NetworkDefinition,
  NetworkTensor,
  registerBackend,
  type RuntimeValue,
  Tensor,
  type TensorDataOf,
  TensorwrightError,
} from '@tensorwright/core';
export { type ModelProblem, OnnxParser, type ParseOptions, writeOnnx } from '@tensorwright/parser-onnx';
export {
  type ContextOptions,
  DeviceBuffer,
  type DeviceBufferOptions,
  deviceMemory,
  type DeviceMemoryState,
  Engine,
  type EngineInspection,
  ExecutionContext,
  type LayerInspection,
  type LayerProfile,
  type LoadOptions,
  type PlanInspection,
  type PluginInspection,
  type RunOptions,
  Runtime,
  type TensorInfo,
  type TensorMap,
} from '@tensorwright/runtime';
