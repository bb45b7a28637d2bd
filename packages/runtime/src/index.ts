export { DeviceBuffer, type DeviceBufferOptions } from './device-buffer.js';
export { Engine } from './engine.js';
export { ExecutionContext } from './execution-context.js';
export type { ContextOptions, LayerProfile, RunOptions, SyncRunOptions } from './execution-context.js';
export type { EngineInspection, LayerInspection, OperandInspection } from './inspect.js';
export type { PlanLike } from './plan/plan-source.js';
export type { ContextMemory, DeviceTimes, RunValue } from './run/driver.js';
export { type LoadOptions, Runtime } from './runtime.js';
export type { TensorInfo, TensorMap } from './tensor-info.js';
