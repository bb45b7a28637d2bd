export type { OutputMemory } from './binding.js';
export {
  Context,
  type DeviceTimes,
  type DeviceWork,
  type MemoryUse,
  type RunOptions,
  type SegmentOptions,
  type StepTiming,
} from './context.js';
export { Cuda, type CudaDevice, type CudaLibraryStatus, type CudaStatus, type DeviceMemoryState } from './cuda.js';
export type { CudnnConfiguration, CudnnConvolution, CudnnMap, CudnnTensor } from './cudnn.js';
export { DeviceMemory } from './device-memory.js';
export { cudaKernelFile } from './kernel-files.js';
export { NativeError, type NativeErrorCode, NativeLoadError } from './errors.js';
export { type FileRange, loadNative, Native, type NativeOptions, type TimeOptions } from './native.js';
export type {
  DType,
  PlanAttribute,
  PlanOperand,
  PlanProgram,
  PlanSegment,
  PlanStep,
  PlanStorage,
  PlanSymbol,
  PlanValue,
} from './plan.js';
export {
  type PluginField,
  type PluginInference,
  PluginLibraryHandle,
  type PluginAnswer,
  type PluginMatch,
  type PluginRecord,
  type PluginShape,
} from './plugin-library.js';
export { CancelToken, type ContextOptions, Program, Weights } from './program.js';
export type { NativeTensor } from './tensor.js';
export {
  type Trial,
  type TrialOptions,
  TrialProcess,
  type TrialProcessOptions,
  type TrialWork,
} from './trial-process.js';
